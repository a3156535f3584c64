"""What a live page shows, and how it looked last."""

import logging
import time
from typing import Protocol

from app.domain.errors import UmbelError, Unavailable
from app.web.pages.digest import Digest
from app.web.pages.render import Fragments
from app.web.pages.shell import Shell

log = logging.getLogger(__name__)


class View(Protocol):
    """What a page shows. Equal keys mean equal pages."""

    @property
    def key(self) -> str: ...

    @property
    def every(self) -> float:
        """Seconds between two renderings, at least."""
        ...

    def take(self, news: Digest | None) -> bool:
        """Notes what happened; whether the page may look different. None: there is a gap, read
        anew."""
        ...

    async def fragments(self) -> Fragments:
        """The live parts as they are now."""
        ...


class Rendering:
    """What a view looked like last, and what stands around it."""

    def __init__(self, view: View, shell: Shell) -> None:
        self._view = view
        self._shell = shell
        self._parts: Fragments = {}
        self._shown_at: float | None = None

    async def renew(self) -> bool:
        """Renders the view; False where something that it needs was away."""
        try:
            self._parts = {**await self._rendered(), "as-of": self._shell.as_of(None)}
            self._shown_at = time.time()
        except Unavailable:  # the page's banner says what is away, and since when
            if self._shown_at is not None:
                self._parts = {**self._parts, "as-of": self._shell.as_of(self._shown_at)}
            return False
        except UmbelError:
            pass  # it is gone, and the page shows what it was
        return True

    @property
    def fragments(self) -> Fragments:
        """The page's live parts."""
        return {**self._shell.fragments, **self._parts}

    async def _rendered(self) -> Fragments:
        try:
            return await self._view.fragments()
        except UmbelError:
            raise
        except Exception:
            # One page that can't be shown must not end the stream that would mend it.
            log.exception("A live page could not be rendered: %s", self._view.key[:200])
            return {}
