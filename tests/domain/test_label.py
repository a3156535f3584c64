"""Which environment a dashboard belongs to, and in which colour it says so."""

import pytest

from app.domain.label import Label, read_label


@pytest.mark.parametrize(
    ("text", "word", "colour"),
    [
        ("production", "production", "red"),
        ("Live EU", "Live EU", "red"),
        ("staging", "staging", "amber"),
        ("dev", "dev", "green"),
        ("shop", "shop", "grey"),
        ("shop EU:violet", "shop EU", "violet"),
        ("production:blue", "production", "blue"),
        (" 本番 ", "本番", "grey"),
    ],
)
def test_a_label_is_a_word_with_a_colour_that_its_name_suggests(
    text: str, word: str, colour: str
) -> None:
    label = read_label(text)

    assert label == Label(word, colour)
    assert read_label(str(label)) == label


@pytest.mark.parametrize("text", ["shop:pink", "a:b:red", "x" * 25, "two\nlines"])
def test_what_would_not_stand_well_on_a_page_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_label(text)


def test_without_a_word_there_is_no_label() -> None:
    assert not Label()
    assert str(Label()) == ""
