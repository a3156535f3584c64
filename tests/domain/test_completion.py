"""What stands at the end of a search that is being typed."""

import pytest

from app.domain.completion import Unfinished, unfinished


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Unfinished(0, "", "")),
        ("na", Unfinished(0, "", "na")),
        ("state:failure ", Unfinished(14, "", "")),
        ("x -na", Unfinished(3, "", "na")),
        ("-", Unfinished(1, "", "")),
        ("name:", Unfinished(5, "name", "")),
        ("-NAME:ma", Unfinished(6, "name", "ma")),
        ("state:lost,fa", Unfinished(11, "state", "fa")),
        ('name:"a b', Unfinished(5, "name", "a b", True)),
        ('name:"a b",c', Unfinished(11, "name", "c")),
        (r'"a \" b', Unfinished(0, "", r"a \" b", True)),
        ('"a b" c', Unfinished(6, "", "c")),
        ("args.user.id:1", Unfinished(13, "args.user.id", "1")),
        ("args.us", Unfinished(0, "", "args.us")),
        ("worker:celery@w1:8", Unfinished(7, "worker", "celery@w1:8")),
        ("http://x", Unfinished(0, "", "http://x")),
        ("foo:bar", Unfinished(0, "", "foo:bar")),
    ],
)
def test_the_unfinished_end_is_found(text: str, expected: Unfinished) -> None:
    assert unfinished(text) == expected
