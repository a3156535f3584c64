"""Where a page ended, as an opaque text that only we make."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from math import isfinite

from app.domain.errors import BadInput, FieldError
from app.domain.filters import Sort

LENGTH = 200
"""Characters of a cursor; ours are shorter."""
_LARGEST_SEQ = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Place:
    """The last task that was looked at: its seq, and its runtime where that is the order."""

    seq: int
    runtime: float | None = None


def print_cursor(sort: Sort, place: Place) -> str:
    """The text of a place in an order."""
    runtime = "" if place.runtime is None else place.runtime.hex()
    text = f"{sort.value}|{place.seq}|{runtime}"
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def parse_cursor(sort: Sort, text: str) -> Place:
    """The place of a text. Raises BadInput for one that isn't ours, or is of another order."""
    try:
        if len(text) > LENGTH:
            raise ValueError("too long")
        padded = text + "=" * (-len(text) % 4)
        order, seq_text, runtime_text = urlsafe_b64decode(padded.encode()).decode().split("|")
        place = Place(int(seq_text), float.fromhex(runtime_text) if runtime_text else None)
        by_runtime = sort in (Sort.LONGEST, Sort.SHORTEST)
        if order != sort.value or by_runtime != (place.runtime is not None):
            raise ValueError("of another order")
        if not 0 <= place.seq <= _LARGEST_SEQ or not isfinite(place.runtime or 0.0):
            raise ValueError("not a place")
    except (ValueError, OverflowError):
        error = FieldError(
            ("query", "cursor"), "is not a cursor of this order; take the one in `next`"
        )
        raise BadInput("There is no such page.", (error,)) from None
    return place
