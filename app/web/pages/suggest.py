"""What the search box offers while somebody types: keys, states, and names that are known."""

from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.domain.completion import Unfinished, unfinished
from app.domain.search import MAX_SEARCH, Term
from app.domain.search_keys import KEYS, TEXT
from app.operations.catalog import Catalog
from app.store import tasks as stored
from app.store.database import Database
from app.web.language import gettext as _
from app.web.language import marked
from app.web.pages.dashboard import dashboard_of
from app.web.signatures import names_of

OFFERED = 10
"""Suggestions at once: as many as are read at a glance."""
SHARE = 4
"""Of each kind where a word could be of several."""
LOOKED = 2_000
"""Names of a kind that are looked through for a part; of more, only what begins so is found."""
SHORTEST = 2
"""Letters of a word for which names are offered; one letter is in all of them."""

AGES = {
    "15m": marked("the last 15 minutes"),
    "1h": marked("the last hour"),
    "24h": marked("the last 24 hours"),
    "7d": marked("the last 7 days"),
}
AGO = {
    "15m": marked("longer than 15 minutes ago"),
    "1h": marked("longer than an hour ago"),
    "24h": marked("longer than a day ago"),
}
LENGTHS = {
    ">1s": marked("longer than a second"),
    ">10s": marked("longer than 10 seconds"),
    ">1m": marked("longer than a minute"),
    "<100ms": marked("shorter than a tenth of a second"),
    "1s..10s": marked("from one second to ten"),
}
ALL_SO = marked("all that begin so")
ARGUMENT = marked("an argument of %(name)s")
KINDS = {
    "name": marked("a task"),
    "queue": marked("a queue"),
    "worker": marked("a worker"),
    "state": marked("a state"),
}

_EXAMPLES = {"since": AGES, "until": AGO, "ended": AGES, "runtime": LENGTHS}
_NAMED: dict[str, Callable[[Database, str, int], list[str]]] = {
    "name": stored.names,
    "queue": stored.queues,
    "worker": stored.workers,
}

router = APIRouter()


class Option(msgspec.Struct, frozen=True):
    """What could stand there, and what that is. `more`: it goes on, with a value."""

    text: str
    about: str
    more: bool = False


class Offer(msgspec.Struct, frozen=True):
    """`partial` is the end of what was typed, which an option takes the place of."""

    partial: str
    options: list[Option]


@router.get("/ui/suggest", include_in_schema=False)
async def suggest(request: Request, q: str = Query("", max_length=MAX_SEARCH)) -> Response:
    """What could follow a text, which is that of the box up to the cursor."""
    umbel = dashboard_of(request).umbel
    part = unfinished(q)
    catalog = await umbel.operations.catalog()
    options = await umbel.reading(copy_context().run, _options, umbel.db, catalog, part)
    body = msgspec.json.encode(Offer(q[part.at :], options[:OFFERED]))
    return Response(body, headers={"Cache-Control": "no-store"}, media_type="application/json")


def _options(db: Database, catalog: Catalog, part: Unfinished) -> list[Option]:
    if part.key in _NAMED:
        return _of_names(db, catalog, part)
    if part.key == "state":
        return [Option(_last(part.key, one), "") for one in _near(KEYS["state"].choices, part.text)]
    if part.key in _EXAMPLES:
        given = _EXAMPLES[part.key].items()
        return [Option(value, _(about)) for value, about in given if value.startswith(part.text)]
    if part.key or part.quoted:
        return []
    if part.text.lower().startswith("args."):
        return _of_arguments(catalog, part.text[len("args.") :])
    return [*_of_keys(part.text), *_of_all(db, catalog, part.text)]


def _of_keys(text: str) -> list[Option]:
    return [
        Option("args." if name == "args" else f"{name}:", _(key.finds), more=True)
        for name, key in KEYS.items()
        if name != TEXT and name.startswith(text.lower())
    ]


def _of_all(db: Database, catalog: Catalog, text: str) -> list[Option]:
    """Terms that a word could mean."""
    if len(text) < SHORTEST:
        return []
    found = [
        Option(str(Term("state", (one,))), _(KINDS["state"]))
        for one in KEYS["state"].choices
        if one.startswith(text.lower())
    ]
    for key in _NAMED:
        names = _known(db, catalog, key, text)[:SHARE]
        found += [Option(str(Term(key, (name,))), _(KINDS[key])) for name in names]
    return found


def _of_names(db: Database, catalog: Catalog, part: Unfinished) -> list[Option]:
    names = _known(db, catalog, part.key, part.text)
    found = [Option(_last(part.key, name), "") for name in names]
    begun = [name for name in names if name.startswith(part.text)]
    if part.text and len(begun) > 1 and not part.text.endswith("*"):
        found.insert(0, Option(_last(part.key, part.text + "*"), _(ALL_SO)))
    return found


def _of_arguments(catalog: Catalog, begins: str) -> list[Option]:
    found: dict[str, Option] = {}
    for name, entry in catalog.entries.items():
        for schema in entry.schemas:
            for argument in names_of(schema)[1]:
                if argument.startswith(begins) and argument not in found:
                    about = _(ARGUMENT, name=name.rsplit(".", 1)[-1])
                    found[argument] = Option(f"args.{argument}:", about, more=True)
    return list(found.values())


def _known(db: Database, catalog: Catalog, key: str, text: str) -> list[str]:
    read = _NAMED[key]
    begun = read(db, text, OFFERED) if text else []
    registered = sorted(catalog.entries) if key == "name" else []
    return list(dict.fromkeys([*begun, *_near([*read(db, "", LOOKED), *registered], text)]))


def _near(names: Iterable[str], text: str) -> Sequence[str]:
    """Names with a part: first those that begin so, then those of which the last word does."""
    part = text.lower()
    found = [name for name in names if part in name.lower()]

    def rank(name: str) -> int:
        folded = name.lower()
        last = folded.rsplit(".", 1)[-1]
        return 0 if folded.startswith(part) else 1 if last.startswith(part) else 2

    return sorted(found, key=rank)[: OFFERED + SHARE]


def _last(key: str, value: str) -> str:
    """A value as it stands after its key."""
    return str(Term(key, (value,))).removeprefix(f"{key}:")
