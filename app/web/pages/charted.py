"""The charts of one queue or worker, over the time that somebody chose."""

import asyncio
import time
from collections.abc import Iterable
from urllib.parse import urlencode

from app.domain.errors import BadInput, FieldError
from app.store.labels import Kind
from app.web.figures import BY, RANGES, USUAL_RANGE, Charted, Range, read_chart
from app.web.pages.dashboard import Dashboard
from app.web.pages.ended import Choice, EndedPart, part_of_one
from app.web.pages.render import queue_path, worker_path

_WORDS = {kind: word for word, kind in BY.items()}
_PATHS = {Kind.QUEUE: queue_path, Kind.WORKER: worker_path}


class Charting:
    """What is drawn of one label. Read at most once in the time that it is fresh, for a view is
    rendered once for all who watch it."""

    def __init__(self, dashboard: Dashboard, kind: Kind, label: str, wanted: Range) -> None:
        self._dashboard = dashboard
        self._kind, self._label = kind, label
        self._lock = asyncio.Lock()
        self._found: tuple[float, Charted] | None = None
        self.range = wanted

    @property
    def query(self) -> str:
        """`?range=24h`; "" for the usual time."""
        return "" if self.range is USUAL_RANGE else f"?{urlencode({'range': self.range.key})}"

    def address(self, key: str) -> str:
        """The page with another time."""
        path = _PATHS[self._kind](self._label)
        return path if key == USUAL_RANGE.key else f"{path}?{urlencode({'range': key})}"

    async def read(self) -> EndedPart:
        """All of it. Raises StoreUnavailable."""
        charted = await self.charted()
        choice = Choice(self.range, _WORDS[self._kind])
        return part_of_one(charted, choice, self._label, self._dashboard.umbel.health)

    async def charted(self) -> Charted:
        """The figures. Raises StoreUnavailable."""
        umbel = self._dashboard.umbel
        async with self._lock:
            if self._found is None or time.monotonic() >= self._found[0]:
                of = self._kind, self._label
                found = await umbel.reading(read_chart, umbel.db, self.range, None, time.time(), of)
                self._found = time.monotonic() + self.range.fresh, found
            return self._found[1]


def range_of(pairs: Iterable[tuple[str, str]]) -> Range:
    """The time that an address chooses. Raises BadInput."""
    given = [value for key, value in pairs if key == "range" and value]
    if given and given[-1] not in RANGES:
        words = f"{given[-1][:100]!r} is not one of {', '.join(RANGES)}"
        raise BadInput("There are no such figures.", (FieldError(("query", "range"), words),))
    return RANGES[given[-1]] if given else USUAL_RANGE
