"""Random UUIDs of version 4, as Celery's ids are, many at once from one seed."""

from collections.abc import Sequence
from hashlib import shake_128

SEED_BYTES = 16
"""Random bytes of which ids are made: as many as one id has."""
TAG_BYTES = 12
"""Random bytes of which delivery tags are made: what is left beside a number of 12 digits."""

_VARIANT = {digit: "89ab"[int(digit, 16) >> 2] for digit in "0123456789abcdef"}


def uuids(seed: bytes, count: int) -> Sequence[str]:
    """So many of them: always the same of one seed."""
    text = seed.hex() if count == 1 else shake_128(seed).hexdigest(16 * count)
    variant = _VARIANT
    return [
        f"{text[at : at + 8]}-{text[at + 8 : at + 12]}-4{text[at + 13 : at + 16]}-"
        f"{variant[text[at + 16]]}{text[at + 17 : at + 20]}-{text[at + 20 : at + 32]}"
        for at in range(0, 32 * count, 32)
    ]


def tag_beginning(random: bytes) -> str:
    """What a number of 12 hexadecimal digits makes a delivery tag: it looks like a UUID, has to
    differ from all others, and is never made again."""
    text = random.hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-"
