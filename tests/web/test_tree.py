"""Values as trees: exact to the last digit, bounded, and never harmed by what they hold."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.pages.tree import DEPTH, ITEMS, ROWS, TREE_LIMIT, tree

PLACE = re.compile(r'data-at="(\d+),(\d+)"')
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=6),
)


def shown(text: str) -> str:
    found = tree(text, "args")
    assert found is not None
    return str(found)


def test_numbers_and_keys_stand_as_they_came() -> None:
    text = '{"n": 123456789012345678901234567890, "e": 1e400, "n": -0.10, "long": "%s"}' % (
        "x" * 80
    )
    found = shown(text)

    for number in ("123456789012345678901234567890", "1e400", "-0.10"):
        assert f'<span class="json-number">{number}</span>' in found
    assert found.count('<span class="json-key">n</span>') == 2


def test_what_fits_on_a_line_stands_on_one() -> None:
    assert "<details" not in shown('[1, {"a": [true, null]}]')
    assert "<details" in shown(json.dumps(["a" * 40, "b" * 40]))


def test_a_text_keeps_its_lines_and_a_long_one_is_folded() -> None:
    found = shown(json.dumps({"mail": "Dear Ana,\nhello", "log": "x" * 5_000}))

    assert '<pre class="json-string">Dear Ana,\nhello</pre>' in found
    assert "show all (4.9 KiB)" in found
    assert "x" * 5_000 in found


def test_characters_that_are_not_seen_are_shown() -> None:
    found = shown('["\\u0000\\u001b[31m"]')

    assert "\x00" not in found
    assert "␀␛[31m" in found


def test_hostile_text_stays_text() -> None:
    found = shown(json.dumps({"<script>": "</pre><img src=x onerror=a()>", "long": "y" * 99}))

    assert "<script>" not in found
    assert "<img" not in found


def test_a_long_list_folds_after_its_first_items_and_says_what_is_left() -> None:
    found = shown(json.dumps(list(range(ROWS + 500))))

    assert f"[{ITEMS} … {2 * ITEMS - 1}]" in found
    assert "500 more" in found
    assert len(PLACE.findall(found)) == ROWS + 1


def test_no_depth_does_harm() -> None:
    for text in ("[" * 30_000 + "]" * 30_000, '{"a":' * 9_000 + "1" + "}" * 9_000):
        found = shown(text)
        assert len(PLACE.findall(found)) <= DEPTH + 1
        assert "…" in found


@pytest.mark.parametrize("text", ["", "]", ",", "[" * (TREE_LIMIT + 1)])
def test_what_is_no_value_or_too_large_has_no_tree(text: str) -> None:
    assert tree(text, "args") is None


@given(anything)
def test_each_row_says_where_its_value_stands_in_the_text(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False)
    parts = [text[int(begin) : int(end)] for begin, end in PLACE.findall(shown(text))]

    assert json.loads(parts[0]) == value
    assert all(json.dumps(json.loads(part), ensure_ascii=False) == part for part in parts)


@given(st.text(alphabet='{}[]":,\\ 12eatrufls\n'))
def test_no_text_makes_it_fail(text: str) -> None:
    tree(text, "args")
