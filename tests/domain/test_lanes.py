"""Counts in lanes are added, taken away and packed without touching each other."""

from hypothesis import given
from hypothesis import strategies as st

from app.domain.lanes import counts_of, lanes_of, pack, unpack

lanes = st.integers(0, 1_200)
counted = st.dictionaries(lanes, st.integers(0, 300) | st.integers(0, 2**40), max_size=40)


def told(number: int) -> dict[int, int]:
    first, counts = counts_of(number)
    return {first + place: count for place, count in enumerate(counts) if count}


def known(counts: dict[int, int]) -> dict[int, int]:
    return {lane: count for lane, count in counts.items() if count}


@given(st.lists(counted, max_size=4))
def test_lanes_are_added_one_by_one(parts: list[dict[int, int]]) -> None:
    sums: dict[int, int] = {}
    for part in parts:
        for lane, count in part.items():
            sums[lane] = sums.get(lane, 0) + count
    assert told(sum(map(lanes_of, parts))) == known(sums)


@given(counted, counted)
def test_what_was_added_can_be_taken_away(kept: dict[int, int], taken: dict[int, int]) -> None:
    less = lanes_of({lane: -count for lane, count in taken.items()})
    assert less + lanes_of(kept) + lanes_of(taken) == lanes_of(kept)


@given(counted, st.dictionaries(lanes, st.integers(-9, -1), max_size=5))
def test_a_count_below_0_leaves_the_others_as_they_are(
    counts: dict[int, int], below: dict[int, int]
) -> None:
    mixed = {**counts, **below}
    assert told(lanes_of(mixed)) == {lane: count for lane, count in mixed.items() if count > 0}


@given(counted)
def test_packed_lanes_are_unpacked_the_same(counts: dict[int, int]) -> None:
    assert unpack(pack(lanes_of(counts))) == lanes_of(counts)


def test_packed_lanes_are_short() -> None:
    assert pack(0) == b""
    assert len(pack(lanes_of({0: 1, 99: 256}))) == 203
    assert len(pack(lanes_of(dict.fromkeys(range(300, 400), 255)))) == 103
