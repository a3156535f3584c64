"""A JSON value as a tree that folds: each number and string exactly as it stands in the text.

It is never parsed into Python's or a browser's values: an integer of thirty digits stays one, a key
that comes twice is there twice. The text is read once, with a stack and not by recursion, so no
depth and no size does harm; what is beyond the limits is told, and stands in the raw text.
"""

import json
import re
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from app.domain.events import Json
from app.web.language import gettext as _
from app.web.language import ngettext
from app.web.pages.formats import amount, size

TREE_LIMIT = 64 * 1024
"""Characters of a value that become a tree, in 50 ms at most; a longer one is data, and shown as it
came."""
ROWS = 1_000
"""Rows of a tree: some 200 KB of a page, and more than anybody reads."""
ITEMS = 100
"""Items of one list or object before the others fold away."""
DEPTH = 24
"""Levels that unfold; what is deeper is shown as text."""
LINE = 64
"""Characters up to which a list or an object stays on one line."""
TEXT = 320
"""Characters of a string that are shown before "show all": some four lines."""
TEXT_LIMIT = 32 * 1024
"""Characters of one string in a page at all."""
OPEN_DEPTH, OPEN_ITEMS = 3, 30
"""Lists and objects so deep and so long at most are open at first."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {0x7F: 0x2421}
"""Characters that do something instead of being seen, as such that are seen."""
_OPENING = {"{": "}", "[": "]"}


@dataclass(slots=True)
class Node:
    """One value: a token, or a list or object with its items. `begin` and `end` in the text."""

    begin: int
    end: int
    key: str | None = None
    items: list["Node"] | None = None
    brackets: str = ""
    count: int = 0
    depth: int = 0


@dataclass(slots=True)
class _Reader:
    """Builds nodes from tokens; `rows` is how many more are kept."""

    text: str
    rows: int = ROWS
    open: list[Node] = field(default_factory=list)
    key: str | None = None
    root: Node | None = None

    def read(self) -> Node | None:
        for found in _TOKEN.finditer(self.text):
            self._take(found[0], found.start(), found.end())
        while self.open:  # a text that was cut
            self.open.pop().end = len(self.text)
        return self.root

    def _take(self, word: str, begin: int, end: int) -> None:
        if word in _OPENING:
            node = self._add(Node(begin, end, brackets=word + _OPENING[word], items=[]))
            self.open.append(node)
        elif word in ("}", "]"):
            if self.open:
                self.open.pop().end = end
        elif word == ",":
            self.key = None
        elif word != ":":
            within = self.open[-1] if self.open else None
            if within is not None and within.brackets == "{}" and self.key is None:
                self.key = word
            else:
                self._add(Node(begin, end))

    def _add(self, node: Node) -> Node:
        node.key, self.key = self.key, None
        node.depth = len(self.open)
        if not self.open:
            self.root = self.root or node
            return node
        within = self.open[-1]
        within.count += 1
        if self.rows > 0 and within.items is not None and node.depth <= DEPTH:
            within.items.append(node)
            self.rows -= 1
        else:
            node.items = None  # and so are those within
        return node


def tree(value: Json, root: str) -> Markup | None:
    """The value as nested lists; None where it is too large. `root` is what paths begin with.

    Elements say where they stand in the raw text, for the script that copies a part of it.
    """
    if len(value) > TREE_LIMIT:
        return None
    node = _Reader(value).read()
    if node is None:
        return None
    drawn = Markup("").join(_drawn(value, node, None))
    return Markup('<ul class="tree" data-tree="{}">{}</ul>').format(root, drawn)


def _drawn(text: str, node: Node, place: int | None) -> list[Markup]:
    """One row with all below it; `place` is its number in a list. As deep as DEPTH at most."""
    whole = text[node.begin : node.end]
    where = Markup(' data-at="{},{}"{}').format(node.begin, node.end, _key_of(node, place))
    label = _label(node, place)
    if node.items is None:
        return [Markup("<li{}>{}</li>").format(where, _scalar(whole, label))]
    if len(whole) <= LINE or not node.items:
        shown = _line(whole) if len(whole) <= LINE else _unfolded(node, whole)
        return [Markup("<li{}>{}{}</li>").format(where, label, shown)]
    is_open = node.depth < OPEN_DEPTH and node.count <= OPEN_ITEMS
    return [
        Markup("<li{}><details{}><summary>{}{}</summary>").format(
            where, Markup(" open") if is_open or node.depth == 0 else "", label, _count(node)
        ),
        *_items(text, node),
        Markup("</details></li>"),
    ]


def _items(text: str, node: Node) -> list[Markup]:
    items = node.items or []
    parts: list[Markup] = []
    for first in range(0, len(items), ITEMS):
        some = items[first : first + ITEMS]
        if first:
            last = amount(first + len(some) - 1)
            parts.append(
                Markup('<details class="more"><summary class="muted">{}{} … {}{}</summary>').format(
                    node.brackets[0], amount(first), last, node.brackets[1]
                )
            )
        parts.append(Markup("<ul>"))
        for number, item in enumerate(some, first):
            parts += _drawn(text, item, number if node.brackets == "[]" else None)
        parts.append(Markup("</ul>") + (Markup("</details>") if first else ""))
    if left := node.count - len(items):
        words = ngettext("%(num)s more: see the raw text", "%(num)s more: see the raw text", left)
        parts.append(Markup('<p class="muted tiny">{}</p>').format(words))
    return parts


def _key_of(node: Node, place: int | None) -> Markup:
    if node.key is not None:
        return Markup(' data-key="{}"').format(node.key)
    return Markup("") if place is None else Markup(' data-key="{}"').format(place)


def _label(node: Node, place: int | None) -> Markup:
    if node.key is not None:
        name = _seen(_string(node.key))
        return Markup('<span class="json-key">{}</span>: ').format(name[:TEXT])
    return (
        Markup("") if place is None else Markup('<span class="json-place">{}</span> ').format(place)
    )


def _count(node: Node) -> Markup:
    words = (
        ngettext("%(num)s item", "%(num)s items", node.count)
        if node.brackets == "[]"
        else ngettext("%(num)s field", "%(num)s fields", node.count)
    )
    return Markup('<span class="json-count">{} {} {}</span>').format(
        node.brackets[0], words, node.brackets[1]
    )


def _unfolded(node: Node, whole: str) -> Markup:
    """What has no rows left: as text."""
    return Markup('{} <code class="muted">{}…</code>').format(_count(node), whole[:LINE])


def _line(whole: str) -> Markup:
    """A short list or object on one line."""
    parts: list[Markup] = []
    tokens = _TOKEN.findall(whole)
    for word, following in zip(tokens, [*tokens[1:], ""], strict=True):
        if word in "{}[]":
            parts.append(escape(word))
        elif word in ",:":
            parts.append(escape(word + " "))
        elif following == ":":
            parts.append(Markup('<span class="json-key">{}</span>').format(_seen(_string(word))))
        else:
            parts.append(_token(word))
    return Markup('<span class="json-line">{}</span>').format(Markup("").join(parts))


def _scalar(word: str, label: Markup) -> Markup:
    if not word.startswith('"'):
        return label + _token(word)
    text = _string(word)
    shown = _seen(text[:TEXT_LIMIT])
    if len(text) <= TEXT and "\n" not in text:
        return label + Markup('<span class="json-string">"{}"</span>').format(shown)
    if len(text) <= TEXT:
        return label + Markup('<pre class="json-string">{}</pre>').format(shown)
    cut = _(" … cut off at %(size)s", size=size(TEXT_LIMIT)) if len(text) > TEXT_LIMIT else ""
    head = " ".join(shown[:TEXT].split())
    words = _("show all (%(size)s)", size=size(len(text)))
    return Markup(
        '<details class="long"><summary>{}<span class="json-string">"{}…</span> '
        '<span class="all">{}</span></summary><pre class="json-string">{}{}</pre></details>'
    ).format(label, head, words, shown, cut)


def _token(word: str) -> Markup:
    if word.startswith('"'):
        form, word = "string", '"' + _seen(_string(word)).replace("\n", "⏎") + '"'
    else:
        form = "word" if word in ("true", "false", "null") else "number"
    return Markup('<span class="json-{}">{}</span>').format(form, word)


def _string(word: str) -> str:
    """What a JSON string says; a text that is none stands as it came."""
    try:
        found = json.loads(word, strict=False)
    except ValueError:
        return word
    return found if isinstance(found, str) else word


def _seen(text: str) -> str:
    return text.translate(_PICTURES)
