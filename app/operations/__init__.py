"""What a person may do: each operation asks whether they may, writes it down, and does it."""
