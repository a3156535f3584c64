"""Random UUIDs of version 4, as Celery's ids are, many at once from one seed."""

from collections.abc import Sequence
from hashlib import shake_128

_VARIANT = {digit: "89ab"[int(digit, 16) >> 2] for digit in "0123456789abcdef"}


def uuids(seed: bytes, count: int) -> Sequence[str]:
    """So many of them: always the same of one seed of 16 random bytes."""
    text = seed.hex() if count == 1 else shake_128(seed).hexdigest(16 * count)
    variant = _VARIANT
    return [
        f"{text[at : at + 8]}-{text[at + 8 : at + 12]}-4{text[at + 13 : at + 16]}-"
        f"{variant[text[at + 16]]}{text[at + 17 : at + 20]}-{text[at + 20 : at + 32]}"
        for at in range(0, 32 * count, 32)
    ]
