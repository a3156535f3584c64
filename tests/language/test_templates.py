"""No template has a text that is not asked for by a function."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import Environment, nodes

ROOT = Path(__file__).resolve().parents[2] / "templates"
READ = {"aria-label", "title", "placeholder", "alt", "data-label", "data-confirm", "aria-valuetext"}
"""Attributes that people read, or hear."""
CODE = {"code", "pre", "kbd", "samp", "script", "style"}
WORD = re.compile(r"(?<![/A-Za-z])[A-Za-z]{2,}")
"""Not what is a part of a path."""
NAMES = {
    "Umbel",
    "JSON",
    "GET",
    "CSV",
    "UTC",
    "Celery",
    "curl",
    "Python",
    "Redis",
    "Ctrl",
    "Esc",
    "Enter",
    "Shift",
    "Space",
    "Tab",
    "Alt",
    "NDJSON",
    "PID",
    "ID",
    "p50",
    "p95",
    "p99",
    'state:failure name:mail* "free text"',
    "prefork",
}
"""Words that are the same in every language."""
ASKED = {"_", "gettext", "ngettext"}

PATTERNS = "patterns/"
"""The page of patterns is for who changes pages, as these words are."""
TEMPLATES = sorted(
    name
    for path in ROOT.rglob("*.html")
    if not (name := path.relative_to(ROOT).as_posix()).startswith(PATTERNS)
)


class Reader(HTMLParser):
    """Collects what people read of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._code += tag in CODE
        self.found += [value for name, value in attrs if name in READ and value]

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in CODE and self._code > 0

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.found.append(data)


def written(tree: nodes.Node) -> Iterator[str]:
    """What a template writes by itself, in its order: its own text, and texts in expressions."""
    for node in tree.iter_child_nodes():
        if isinstance(node, nodes.Output):
            for each in node.nodes:
                yield from said(each)
        elif isinstance(node, nodes.Block) and node.name in ("section", "body"):
            continue  # a name, by which the top bar marks the page; attributes of the page
        elif isinstance(node, nodes.AssignBlock) and node.target.name == "attributes":
            continue
        elif isinstance(node, nodes.Stmt):
            yield from written(node)


def said(node: nodes.Expr) -> Iterator[str]:
    if isinstance(node, nodes.TemplateData):
        yield node.data
    elif is_text(node):
        yield node.value
    elif isinstance(node, nodes.CondExpr | nodes.Or):
        for side in node.iter_child_nodes(exclude=("test",)):
            yield from said(side)
            yield " "


def is_text(node: nodes.Node | None) -> bool:
    return isinstance(node, nodes.Const) and isinstance(node.value, str)


def handed_on(tree: nodes.Template) -> Iterator[str]:
    """Sentences that stand in expressions as they are: lists of words, arguments of macros."""
    asked = {
        id(constant)
        for call in tree.find_all(nodes.Call)
        if isinstance(call.node, nodes.Name) and call.node.name in ASKED
        for constant in call.find_all(nodes.Const)
    }
    for constant in tree.find_all(nodes.Const):
        if is_text(constant) and id(constant) not in asked:
            yield constant.value


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_asks_for_each_of_its_texts(name: str) -> None:
    tree = Environment(extensions=["jinja2.ext.i18n"], autoescape=True).parse(
        (ROOT / name).read_text()
    )
    reader = Reader()
    reader.feed("".join(written(tree)))
    reader.close()
    texts = [text for text in reader.found if text not in NAMES and set(WORD.findall(text)) - NAMES]
    sentences = [text for text in handed_on(tree) if re.fullmatch(r"[A-Z][a-z]+( [a-z].*)?", text)]

    assert texts == []
    assert [text for text in sentences if text not in NAMES and text not in KEPT] == []


KEPT = {"Result", "Arguments", "Keyword arguments"}
"""Names of values, by which a template tells them apart."""


def test_an_unasked_text_would_be_found() -> None:
    page = '<p title="Not asked">{{ "Bare" if x else _("asked") }} and more</p>{{ f("Handed on") }}'
    tree = Environment(extensions=["jinja2.ext.i18n"]).parse(page)
    reader = Reader()
    reader.feed("".join(written(tree)))

    assert reader.found[0] == "Not asked"
    assert "".join(reader.found[1:]).split() == ["Bare", "and", "more"]
    assert "Handed on" in set(handed_on(tree))
