"""What the exit status of `umbel` says to a script."""

OK = 0
FAILED = 1
"""The task failed, or something went wrong."""
USAGE = 2
"""The command line or a setting is wrong; nothing was done."""
UNREACHABLE = 3
"""The server, or the broker, does not answer."""
TIMEOUT = 124
"""It took longer than --timeout; as of timeout(1)."""
INTERRUPTED = 130
"""Ctrl-C; as of a shell: 128 + SIGINT."""
