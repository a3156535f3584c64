"""The saved views as they are now, or a moment ago: each page of the list has them in its menu."""

import time

from app.domain.errors import Unavailable
from app.domain.views import SavedView
from app.store import views
from app.store.database import Database
from app.web.reading import Reading

AGE = 1.0
"""Seconds for which they are used: one that another process keeps is there after that."""


class KnownViews:
    """Read once for all who ask in a moment, and as they last were while the store is away."""

    def __init__(self, db: Database, reading: Reading) -> None:
        self._db = db
        self._reading = reading
        self._views: list[SavedView] = []
        self._read_at = -AGE

    async def get(self) -> list[SavedView]:
        """All of them by name."""
        if time.monotonic() - self._read_at >= AGE:
            try:
                self._views = await self._reading(views.list_all, self._db)
                self._read_at = time.monotonic()
            except Unavailable:
                pass  # the page says what is away, and since when
        return self._views

    def forget(self) -> None:
        """One was just saved or removed here."""
        self._read_at = -AGE
