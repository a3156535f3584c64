"""The catalogs of messages: extracted from templates and page code, updated and compiled.

`make messages` runs this: it writes `app/web/locale/umbel.pot`, brings each language's `umbel.po`
up to date with it, and compiles that into the `umbel.mo` that is read at run time. Nothing of it
says when or where it was made, so it changes only with the texts.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from app.web.language import DOMAIN, ENGLISH, LANGUAGES, LOCALE

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = LOCALE / f"{DOMAIN}.pot"
SOURCES = (
    (ROOT / "app" / "web", [("**.py", "python")], {}),
    (ROOT / "templates", [("**.html", "jinja2.ext:babel_extract")], {"trimmed": "true"}),
)
KEYWORDS = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "text": None,
    "plural": (1, 2),
    "marked": None,
    "marked_in": ((1, "c"), 2),
}
HEADER = "# Messages of Umbel: see docs/translating.md."
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
"""Catalogs want dates; one that never changes makes no difference where nothing is different."""


def extract() -> Catalog:
    """All messages as the sources have them now, in the order of their files."""
    made = Catalog(
        header_comment=HEADER, project="Umbel", creation_date=LONG_AGO, revision_date=LONG_AGO
    )
    for folder, methods, options in SOURCES:
        place = folder.relative_to(ROOT)
        given = {methods[0][0]: options}
        for name, _, message, _, context in extract_from_dir(
            folder, methods, given, keywords=KEYWORDS
        ):
            made.add(message, locations=[(f"{place}/{name}", 0)], context=context)
    return made


def languages() -> Iterator[tuple[str, Path]]:
    """Each language that is translated, and its catalog."""
    for tag in LANGUAGES:
        if tag != ENGLISH:
            yield tag, LOCALE / tag / "LC_MESSAGES" / f"{DOMAIN}.po"


def read(path: Path, tag: str | None = None) -> Catalog:
    """A catalog as its file has it."""
    with path.open("rb") as file:
        found = read_po(file, locale=tag, abort_invalid=True)
    found.creation_date = found.revision_date = LONG_AGO
    return found


def updated(path: Path, tag: str, template: Catalog) -> Catalog:
    """A language's catalog with the messages that there are now; new ones are empty."""
    found = (
        read(path, tag)
        if path.exists()
        else Catalog(locale=tag, creation_date=LONG_AGO, revision_date=LONG_AGO)
    )
    found.update(template, no_fuzzy_matching=True)
    found.obsolete.clear()
    found.header_comment = HEADER
    found.project = "Umbel"
    found.fuzzy = False
    return found


def printed(catalog: Catalog) -> bytes:
    """The text of a catalog."""
    file = BytesIO()
    write_po(file, catalog, width=100, omit_header=False, sort_by_file=True, include_lineno=False)
    text = file.getvalue().decode().replace('#, fuzzy\nmsgid ""\n', 'msgid ""\n', 1)
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(NOT_KEPT)]
    return "".join(kept).encode()


NOT_KEPT = (
    '"POT-Creation-Date',
    '"PO-Revision-Date',
    '"Generated-By',
    '"Last-Translator',
    '"Language-Team',
    '"Report-Msgid-Bugs-To',
    '"Project-Id-Version',
)


def compiled(catalog: Catalog) -> bytes:
    """What is read at run time."""
    file = BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def main() -> int:
    """Writes them all; says what is not translated."""
    template = extract()
    LOCALE.mkdir(exist_ok=True)
    TEMPLATE.write_bytes(printed(template))
    missing = 0
    for tag, path in languages():
        found = updated(path, tag, template)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(printed(found))
        path.with_suffix(".mo").write_bytes(compiled(read(path, tag)))
        for message in found:
            if message.id and not all(message.string if message.pluralizable else [message.string]):
                print(f"{tag}: {message.id!r} is not translated")
                missing += 1
    print(f"{len(template)} messages, {missing} not translated")
    return 0


if __name__ == "__main__":
    sys.exit(main())
