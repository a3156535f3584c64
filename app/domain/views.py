"""Saved views of the list of tasks: a name for a search, an order and columns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.domain.columns import USUAL, Columns, parse_columns
from app.domain.errors import BadInput, FieldError
from app.domain.filters import Sort, parse_sort
from app.domain.search import parse_search

MAX_VIEWS = 100
"""Views that are kept: they are everybody's, and a menu of more would need a search of its own."""
MAX_NAME = 60
"""Characters of a view's name: one line of that menu."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """A view by its name; `search` is in its canonical form, so that ages stay ages."""

    name: str
    search: str = ""
    sort: Sort = Sort.NEWEST
    columns: Columns = USUAL


def read_view(
    name: str, search: str = "", sort: str | None = None, columns: Iterable[str] = ()
) -> SavedView:
    """The view that is asked for. Raises BadInput, naming what is wrong with each field."""
    plain = " ".join(name.split())
    errors: list[FieldError] = []
    if not 0 < len(plain) <= MAX_NAME or not plain.isprintable():
        wrong = f"{plain[:MAX_NAME]!r} is not 1 to {MAX_NAME} printable characters long"
        errors.append(FieldError(("body", "name"), wrong))
    found: list[object] = []
    for field, read in (
        ("q", lambda: str(parse_search(search))),
        ("sort", lambda: parse_sort(sort)),
        ("columns", lambda: parse_columns(columns)),
    ):
        try:
            found.append(read())
        except BadInput as refused:
            errors += _in_body(field, refused.errors)
    if errors:
        raise BadInput("There can be no such view.", tuple(errors))
    canonical, order, chosen = found
    return SavedView(name=plain, search=canonical, sort=order, columns=chosen)  # type: ignore[arg-type]


def _in_body(field: str, errors: Sequence[FieldError]) -> list[FieldError]:
    return [FieldError(("body", field, *error.loc[2:]), error.msg) for error in errors]
