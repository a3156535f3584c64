"""What changed: a capped Redis Stream of committed changes, from the recorder to all readers."""
