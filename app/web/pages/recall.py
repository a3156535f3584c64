"""What pages showed last: shown again, with its age, while the store does not answer."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from app.domain.errors import StoreUnavailable, Unavailable

KEPT = 200
"""Pages of which the last state is kept: some 50 KB each, so ten megabytes at most."""
PATIENCE_SECONDS = 5.0
"""A store that takes longer is as good as away; people stop waiting about then."""

T = TypeVar("T")


class Recall:
    """Remembers the last answer to each reading, for when there is none.

    `away` says why nothing can be read now, "" when it can: nobody waits for what is known not
    to answer.
    """

    def __init__(self, away: Callable[[], str], kept: int = KEPT) -> None:
        self._away, self._kept = away, kept
        self._answers: OrderedDict[str, tuple[float, object]] = OrderedDict()

    async def __call__(self, key: str, read: Callable[[], Awaitable[T]]) -> tuple[T, float | None]:
        """What `read` answers, and None; or what it answered last, and when that was.

        Raises Unavailable where it never answered, and whatever else `read` raises.
        """
        try:
            if reason := self._away():
                raise StoreUnavailable(reason)
            async with asyncio.timeout(PATIENCE_SECONDS):
                answer = await read()
        except (Unavailable, TimeoutError) as error:
            if key in self._answers:
                at, known = self._answers[key]
                return cast(T, known), at
            if isinstance(error, Unavailable):
                raise
            slow = f"The store did not answer within {PATIENCE_SECONDS:.0f} s."
            raise StoreUnavailable(slow) from None
        self._answers[key] = time.time(), answer
        self._answers.move_to_end(key)
        if len(self._answers) > self._kept:
            self._answers.popitem(last=False)
        return answer, None
