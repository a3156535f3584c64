"""Counts that must not grow: of calls, statements, commands and bytes, on the same input."""
