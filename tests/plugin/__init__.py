"""The worker plugin, in real workers and producers on real Redis servers."""
