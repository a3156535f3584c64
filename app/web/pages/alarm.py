"""Whether something needs attention, for pages that show something else: their icon and title say
so. It is what the first page says, not older than a few seconds."""

import asyncio
import time
from dataclasses import dataclass

from app.domain.errors import Unavailable
from app.web.compared import Comparison
from app.web.pages.attention import attention_of
from app.web.pages.shell import Shell
from app.web.state import Umbel

FRESH = 5.0
"""Seconds after which it is looked at again: an icon in a row of tabs is no faster read."""


@dataclass(slots=True)
class Alarm:
    """Looks beside the pages, which never wait for it; `pressing` is how many things needed
    attention when it last looked, 0 before."""

    umbel: Umbel
    shell: Shell
    comparison: Comparison
    pressing: int = 0
    _due: float = 0.0
    _looking: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Looks again where that is due; called whenever the shell was read anew."""
        if time.monotonic() < self._due or self._looking is not None:
            return
        self._looking = asyncio.create_task(self._look())
        self._looking.add_done_callback(self._looked)

    async def _look(self) -> None:
        try:
            compared = await self.comparison.read()
            known = await self.umbel.quality.read()
            whole = self.shell.known()
        except Unavailable:  # which is a trouble that the shell tells by itself
            return
        found = attention_of(whole, known, compared, self.umbel.health, time.time())
        if found.pressing != self.pressing:
            self.pressing = found.pressing
            self.shell.forget()

    def _looked(self, looking: asyncio.Task[None]) -> None:
        self._looking, self._due = None, time.monotonic() + FRESH
        if not looking.cancelled():
            looking.result()
