"""What the address of the list of tasks asks for, and the addresses that ask for a little else."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from app.domain.columns import USUAL, Columns, parse_columns
from app.domain.errors import Mistake
from app.domain.filters import Sort, TaskFilter, filter_of, parse_sort, read_search
from app.domain.search import Search, Term
from app.domain.tasks import TaskState
from app.web.language import marked

PATH = "/ui/tasks"
AGES = (
    ("15m", marked("15 min")),
    ("1h", marked("1 hour")),
    ("24h", marked("24 hours")),
    ("7d", marked("7 days")),
)
"""Ages that are offered at once, each as it is searched and as it is said."""
_READABLE = ":*@,/"
"""Left as they are in an address, where they mean nothing else: people read and write it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A filter as a link: what it says, where it leads, and whether it is in force."""

    words: str
    address: str
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class ShownMistake:
    """A mistake with the text around it; `mended` leads to the search with `instead` there."""

    before: str
    wrong: str
    after: str
    message: str
    instead: str | None
    mended: str | None


@dataclass(frozen=True, slots=True)
class Query:
    """What an address asks for, as a search and as the filter that it is at this moment."""

    search: Search
    filter: TaskFilter
    sort: Sort
    cursor: str | None
    columns: Columns = USUAL

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """It as parameters, without the cursor."""
        return self._pairs(self.search)

    @property
    def columns_text(self) -> str:
        """The columns as a parameter; "" for the usual ones."""
        return "" if self.columns == USUAL else str(self.columns)

    def address(self, cursor: str | None = None) -> str:
        """The page's address."""
        return self._address(self.search, cursor)

    def toggled(self, state: TaskState) -> str:
        """The address that shows tasks of that state too, or no longer."""
        states = [one.value.lower() for one in self.filter.states if one is not state]
        if state not in self.filter.states:
            states.append(state.value.lower())
        return self._address(self.search.with_only("state", *states))

    def any_state(self) -> str:
        """The address that shows tasks of all states."""
        return self._address(self.search.with_only("state"))

    def cleared(self) -> str:
        """The address of all tasks, in the same order and columns."""
        return self._address(Search())

    def export(self, format: str, *, columns: bool = False) -> str:
        """Where all that this query finds is a file: of the columns shown, or of all fields."""
        pairs = [("format", format), *(pair for pair in self.pairs if pair[0] != "columns")]
        if columns:
            pairs.append(("columns", str(self.columns)))
        return f"/tasks/export?{urlencode(pairs, safe=_READABLE)}"

    def usual_columns(self) -> str:
        """The address of the same tasks in the usual columns."""
        return replace(self, columns=USUAL).address()

    def ages(self) -> list[Choice]:
        """Within which time: a click more on the one in force takes it away."""
        since = self.search.values("since")
        found = []
        for age, words in AGES:
            chosen = since == (age,)
            search = self.search.with_only("since", *(() if chosen else (age,)))
            found.append(Choice(words, self._address(search), chosen))
        return found

    def removable(self) -> list[Choice]:
        """The parts of the search that are shown nowhere else, each with what is left without."""
        offered = {age for age, _ in AGES}
        return [
            Choice(str(part), self._address(self.search.without(part)))
            for term in self.search.terms
            for part in term.parts
            if not _is_shown(part, offered)
        ]

    def loosened(self) -> list[Choice]:
        """All parts of the search, each with what is left without."""
        parts = [part for term in self.search.terms for part in term.parts]
        return [Choice(str(part), self._address(self.search.without(part))) for part in parts]

    def _address(self, search: Search, cursor: str | None = None) -> str:
        pairs = self._pairs(search) + ([] if cursor is None else [("cursor", cursor)])
        return address_of(pairs)

    def _pairs(self, search: Search) -> list[tuple[str, str]]:
        found = [("q", str(search))] if search else []
        if self.sort is not Sort.NEWEST:
            found.append(("sort", self.sort.value))
        if self.columns_text:
            found.append(("columns", self.columns_text))
        return found


def address_of(pairs: Iterable[tuple[str, str]]) -> str:
    """The page's address with these parameters. Without any it says that nothing is searched, for
    the plain path leads to the view that a browser opens first."""
    return f"{PATH}?{urlencode(list(pairs), safe=_READABLE) or 'q='}"


def read_query(pairs: Iterable[tuple[str, str]], now: float) -> Query:
    """The query that an address asks for. Raises BadInput, BadSearch where only `q` is wrong."""
    given = [(key, value) for key, value in pairs if value != ""]
    values = dict(given)
    sort = parse_sort(values.get("sort"))
    columns = parse_columns(value for key, value in given if key == "columns")
    search = read_search(given)
    return Query(search, filter_of(search, now), sort, values.get("cursor"), columns)


def show_mistake(query: Query, text: str, mistake: Mistake) -> ShownMistake:
    """A mistake in a text as the page shows it."""
    end = mistake.at + mistake.length
    before, wrong, after = text[: mistake.at], text[mistake.at : end], text[end:]
    mended = None
    if mistake.instead is not None:
        pairs = [("q", before + mistake.instead + after), *query.pairs]
        mended = address_of(pairs)
    return ShownMistake(before, wrong, after, mistake.message, mistake.instead, mended)


def _is_shown(part: Term, ages: set[str]) -> bool:
    """Whether a chip of its own says that it is in force."""
    if part.key == "state":
        return True
    return part.key == "since" and part.values[0] in ages
