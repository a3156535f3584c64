"""Many small counts in one whole number, a lane of 64 bits each: adding two of these numbers adds
all of their counts at once, as fast as the processor can, and as exactly."""

from collections.abc import Mapping
from functools import cache
from struct import pack as to_bytes
from struct import unpack as of_bytes

_BITS, _BYTES = 64, 8
_GREATEST = 1 << 62
"""No count is as great; a lane that is holds one below 0, which borrows of the next lane."""
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
"""Widths that packed counts can have, in bytes, and what `struct` calls them."""


def lanes_of(counts: Mapping[int, int]) -> int:
    """The number with these counts, by lane. Counts may be below 0."""
    if not counts:
        return 0
    first = min(counts)
    cells = [0] * (max(counts) - first + 1)
    for lane, count in counts.items():
        cells[lane - first] = count
    if min(cells) < 0:
        less = lanes_of({lane: -count for lane, count in counts.items() if count < 0})
        return lanes_of({lane: count for lane, count in counts.items() if count > 0}) - less
    return int.from_bytes(to_bytes(f"<{len(cells)}Q", *cells), "little") << _BITS * first


def counts_of(lanes: int) -> tuple[int, list[int]]:
    """The first lane in use, and the counts from there on; one below 0 is told as 0."""
    if not lanes:
        return 0, []
    first = ((lanes & -lanes).bit_length() - 1) // _BITS
    lanes >>= _BITS * first
    many = abs(lanes).bit_length() // _BITS + 1
    cells: list[int] = []
    if lanes > 0:
        cells = list(of_bytes(f"<{many}Q", lanes.to_bytes(many * _BYTES, "little")))
    if not cells or max(cells) >= _GREATEST:
        lifted = (lanes + _lift(many)).to_bytes(many * _BYTES, "little")
        cells = [max(0, cell - _GREATEST) for cell in of_bytes(f"<{many}Q", lifted)]
    return first, cells


def pack(lanes: int) -> bytes:
    """The counts in as few bytes as their greatest allows: that width, the first lane, and each of
    them up to the last. Places of those above 0 would be shorter, and twice as slow to read."""
    first, cells = counts_of(lanes)
    while cells and not cells[-1]:
        cells.pop()
    if not cells:
        return b""
    width = next(width for width in _CODES if max(cells) < 1 << 8 * width)
    return to_bytes(f"<BH{len(cells)}{_CODES[width]}", width, first, *cells)


def unpack(data: bytes) -> int:
    """What was packed."""
    if not data:
        return 0
    width, first = data[0], data[1] | data[2] << 8
    wide = bytearray((len(data) - 3) // width * _BYTES)
    for place in range(width):
        wide[place::_BYTES] = data[3 + place :: width]
    return int.from_bytes(wide, "little") << _BITS * first


@cache
def _lift(many: int) -> int:
    """What makes counts below 0 greater than 0, in as many lanes."""
    return sum(_GREATEST << _BITS * lane for lane in range(many))
