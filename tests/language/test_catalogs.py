"""The catalogs are those of the sources, whole, and compiled."""

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message

from tests.language import catalogs

LANGUAGES = list(catalogs.languages())
PLACE = re.compile(r"%\(\w+\)s|%%|\{\w*\}|</?[a-z][^>]*>|`[^`]+`")
"""What a translation has to keep: places of values, elements, code."""


@pytest.fixture(scope="module")
def template() -> Catalog:
    return catalogs.extract()


def test_the_template_has_every_text_of_the_sources(template: Catalog) -> None:
    assert len(template) > 500
    assert catalogs.TEMPLATE.read_bytes() == catalogs.printed(template), "run `make messages`"


@pytest.mark.parametrize(("tag", "path"), LANGUAGES)
def test_each_catalog_has_the_messages_of_the_template_and_is_compiled(
    tag: str, path: Path, template: Catalog
) -> None:
    updated = catalogs.updated(path, tag, template)

    assert path.read_bytes() == catalogs.printed(updated), "run `make messages`"
    assert path.with_suffix(".mo").read_bytes() == catalogs.compiled(catalogs.read(path, tag))


@pytest.mark.parametrize(("tag", "path"), LANGUAGES)
def test_every_message_is_translated_with_all_that_stands_in_it(tag: str, path: Path) -> None:
    messages = [message for message in catalogs.read(path, tag) if message.id]

    assert [message.id for message in messages if message.fuzzy] == []
    assert [message.id for message in messages if not all(said_by(message))] == []
    assert [message.id for message in messages if not keeps_places(message)] == []


def said_by(message: Message) -> list[str]:
    said = message.string
    return [said] if isinstance(said, str) else list(said)


def keeps_places(message: Message) -> bool:
    if message.context == "great numbers":  # other languages have other powers of ten
        return True
    # Of a number of things, the words for one may leave the number out.
    asked = message.id if isinstance(message.id, str) else message.id[-1]
    return all(
        sorted(PLACE.findall(asked)) == sorted(PLACE.findall(said)) for said in said_by(message)
    )
