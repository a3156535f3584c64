"""Server-Sent Events, read strictly: bytes in, whole frames out."""

from typing import NamedTuple


class Frame(NamedTuple):
    """One event as it arrived; `id` is "" where it had none."""

    id: str
    event: str
    data: str


class Parser:
    """Takes bytes as they come; a frame that is cut short is never given out."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now. Raises ValueError for what is no such stream."""
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        frames = (_frame(text.decode()) for text in whole)
        return [frame for frame in frames if frame is not None]


def _frame(text: str) -> Frame | None:
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        name, colon, value = line.partition(": ")
        if not colon or name not in ("id", "event", "data", "retry") or name in fields:
            raise ValueError(f"not a line of an event stream: {line[:100]!r}")
        fields[name] = value
    if "event" not in fields:
        return None  # `retry` alone
    return Frame(fields.get("id", ""), fields["event"], fields.get("data", ""))
