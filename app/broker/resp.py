"""Commands in the bytes of Redis's protocol."""

from collections.abc import Sequence

from hiredis import pack_command


def pack(command: Sequence[str]) -> bytes:
    """A command of texts, in one piece: a third of what it takes to append them one by one."""
    parts = [f"${len(part)}\r\n{part}\r\n" for part in command]
    text = f"*{len(parts)}\r\n{''.join(parts)}"
    # Only then has a text as many bytes as characters.
    return text.encode() if text.isascii() else pack_command(tuple(command))  # type: ignore[arg-type]
