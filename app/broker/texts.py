"""Foreign texts, times and numbers made fit to keep: bounded, printable, valid UTF-8.

Whoever can publish on the broker can write anything. What comes out of here can be stored in
any database, printed in any log line and sent to any browser as it is.
"""

import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from app.domain.errors import BadInput
from app.domain.events import Json

ID_LIMIT = 255
"""Characters of a task id. Celery's are 36; an id stands in URLs, keys and index columns."""
NAME_LIMIT = 512
"""Characters of a name of a task, worker or queue; a dotted path of modules is far shorter."""
NAMES = 4096
"""Names that are remembered: 8 MiB at most, when all of them are made up, long and not Latin."""
REPR_LIMIT = 8192
"""Characters of a repr: Celery itself shortens to 1,024 unless it was told otherwise."""
EXCEPTION_LIMIT = 8192
"""Characters of an exception's text, which Celery does not shorten at all."""
TRACEBACK_LIMIT = 65_536
"""Characters of a traceback: some 600 frames; the middle of a longer one is left out."""
VALUE_LIMIT = 1 << 20
"""Characters of a JSON value that is kept, as the contract says; larger ones are not."""
CLOCK_AHEAD = 86_400.0
"""Seconds that a sender's clock may be ahead of ours before its time is not believed."""
LAST_TIME = 32_503_680_000.0
"""The year 3000: what an ETA or expiry may name; databases and calendars end soon after."""
COUNT_LIMIT = 1 << 53
"""Integers stay exact in every database and browser up to this."""
TIME_LIMIT = 64
"""Characters of a time in ISO 8601; the longest real one has 32."""

# Tab, line feed and carriage return are what tracebacks are made of. Deletions and the C1
# block steer terminals as the C0 block does; lone surrogates can't be encoded as UTF-8.
_ODD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def clean(text: str) -> str:
    """Text with control characters made visible and what is no character replaced."""
    return _ODD.sub(_visible, text)


def shorten(text: str | None, limit: int) -> str | None:
    """Clean text of at most `limit` characters, with an ellipsis where it was longer."""
    if text is None:
        return None
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return text if text.isprintable() else clean(text)


def shorten_traceback(text: str | None) -> str | None:
    """A clean traceback; of a very long one the beginning and the end."""
    if text is None or len(text) <= TRACEBACK_LIMIT:
        return shorten(text, TRACEBACK_LIMIT)
    half = TRACEBACK_LIMIT // 2 - 2
    return clean(f"{text[:half]}\n…\n{text[-half:]}")


def name(text: str | None) -> str | None:
    """A name on one line: bounded, with nothing in it that can't be seen; None for none."""
    if not text:
        return None
    if len(text) > NAME_LIMIT:
        text = text[: NAME_LIMIT - 1] + "…"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "�" for char in text)


class _Names(dict[str | None, str | None]):
    """Names that came before, as they are kept: nearly every event names the same few."""

    def __missing__(self, text: str | None) -> str | None:
        kept = name(text)
        if text is None or (len(self) < NAMES and len(text) <= NAME_LIMIT):
            self[text] = kept
        return kept


known_name: Callable[[str | None], str | None] = _Names().__getitem__
"""The same as `name`, for the names of tasks, queues and workers, without a call of Python's."""


def worker(text: str | None) -> str:
    """A worker's name. Raises BadInput where there is none."""
    if found := name(text):
        return found
    raise BadInput("worker name missing")


def signal_name(value: int | str | None) -> str | None:
    """The name of a signal that was given as a number or as a name."""
    if isinstance(value, str):
        return name(value)
    try:
        return None if value is None else signal.Signals(value).name
    except (ValueError, OverflowError):
        return None


def task_id(text: str) -> str:
    """The id as it is. Raises BadInput with the reason where it can't be one."""
    if not text:
        raise BadInput("task id missing")
    if len(text) > ID_LIMIT:
        raise BadInput("task id too long")
    if not text.isprintable():
        raise BadInput("task id not printable")
    return text


def other_id(text: str | None, own: str) -> str | None:
    """The id of another task; None where it is the task itself, as retries say, or no id."""
    if not text or text == own or len(text) > ID_LIMIT or not text.isprintable():
        return None
    return text


def root_id(text: str | None) -> str | None:
    """The id of the first task of all, which may be the task itself; None where it is no id."""
    return other_id(text, "")


def moment(timestamp: float | None, heard_at: float) -> float:
    """When a sender says that it happened, or when we heard it if that can't be."""
    if timestamp is not None and 0 < timestamp < heard_at + CLOCK_AHEAD:
        return timestamp
    return heard_at


def point_in_time(value: str | float | None) -> float | None:
    """Seconds since the epoch of an ISO 8601 text (UTC where it does not say) or a number."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value) if len(value) <= TIME_LIMIT else None
            if parsed is None:
                return None
            value = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    return float(value) if 0 < value < LAST_TIME else None


def count(value: int | None) -> int | None:
    """A number of things; None where it can't be one."""
    return value if value is not None and 0 <= value < COUNT_LIMIT else None


def retries(value: int | None) -> int:
    """The number of the attempt, from 0."""
    return value if value is not None and 0 <= value < 1 << 31 else 0


def priority(value: int | None) -> int | None:
    """A message's priority; None where it has none that a broker knows."""
    return value if value is not None and 0 <= value <= 255 else None


def amount(value: float | None) -> float | None:
    """A finite number of any sign; None for none."""
    return value if value is not None and -1e300 < value < 1e300 else None


def duration(value: float | None) -> float | None:
    """Seconds that something took; None where it can't have."""
    return value if value is not None and 0 <= value < LAST_TIME else None


def json_text(value: msgspec.Raw) -> Json | None:
    """A JSON value as the exact text that it came as; None where absent or over VALUE_LIMIT."""
    found = bytes_of(value)
    return str(found, "utf-8", "replace") if 0 < len(found) <= VALUE_LIMIT else None


def json_excerpt(value: msgspec.Raw) -> str | None:
    """The beginning of a JSON value that is over VALUE_LIMIT, to stand for it; else None."""
    if len(bytes_of(value)) <= VALUE_LIMIT:
        return None
    return shorten(str(bytes_of(value)[: REPR_LIMIT * 4], "utf-8", "replace"), REPR_LIMIT)


def bytes_of(value: msgspec.Raw) -> memoryview:
    """The bytes of a raw JSON value without copying them."""
    return memoryview(value)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else "�"
