"""What the buttons and forms of pages do: the same operations as REST's."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request

from app.broker.message import Submission
from app.domain.errors import BadInput, FieldError
from app.domain.events import Json
from app.operations.actor import Action, Actor
from app.operations.operations import Changes
from app.web.pages.dashboard import Dashboard

REQUESTS = frozenset({Action.REVOKE, Action.TERMINATE})
"""Asked of workers: a page says so until an event proves it."""
SHOWN = frozenset({*REQUESTS, Action.RETRY})
"""Actions that a task's page lists."""


@dataclass(frozen=True, slots=True)
class Given:
    """A form for a new task as it was filled in; `options` are texts, "" where not given."""

    name: str
    args: Json
    kwargs: Json
    options: Mapping[str, str]


async def submit(dashboard: Dashboard, request: Request, given: Given) -> str:
    """Sends a task; its id. Raises BadInput, Unavailable."""
    options = _Options(given.options)
    expires = options.number("expires")
    submission = Submission(
        name=given.name,
        args=given.args,
        kwargs=given.kwargs,
        queue=given.options.get("queue") or None,
        countdown=options.number("countdown"),
        expires=None if expires is None else time.time() + expires,
        priority=options.priority(),
    )
    options.check()
    published = await dashboard.umbel.operations.submit(actor_of(request), submission)
    return published.task_ids[0]


async def revoke(
    dashboard: Dashboard, request: Request, task_id: str, *, terminate: bool, signal: str
) -> None:
    """Asks the workers. Raises NotFound, Conflict, BadInput, Unavailable."""
    await dashboard.umbel.operations.revoke(
        actor_of(request), task_id, terminate=terminate, signal=signal
    )


async def retry(
    dashboard: Dashboard, request: Request, task_id: str, given: Mapping[str, str]
) -> str:
    """Runs a task again; the new one's id. Raises NotFound, Conflict, BadInput, Unavailable."""
    changes = Changes(
        args=_json("args", list, given.get("args")),
        kwargs=_json("kwargs", dict, given.get("kwargs")),
        queue=given.get("queue") or None,
    )
    published = await dashboard.umbel.operations.retry(actor_of(request), task_id, changes)
    return published.task_ids[0]


def actor_of(request: Request) -> Actor:
    """Whoever sits at that address; there is no login yet."""
    client = request.client
    return Actor("anyone", client.host if client else None)


def _json(field: str, kind: type, text: str | None) -> Json | None:
    if not text or not text.strip():
        return None
    word = "list" if kind is list else "object"
    try:
        right = isinstance(json.loads(text, parse_constant=_refuse), kind)
        reason = "" if right else f"It is JSON, but not a JSON {word}"
    except (ValueError, RecursionError) as error:
        reason = f"It is not JSON: {error}"
    if reason:
        raise BadInput("The arguments are not understood.", (FieldError((field,), reason),))
    return text.strip()


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not a number")


class _Options:
    """Options read from texts; what is wrong is kept until `check`."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._errors: list[FieldError] = []

    def number(self, name: str) -> float | None:
        """Seconds, 0 or more."""
        text = self._texts.get(name, "").strip()
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            self._errors.append(FieldError((name,), f"{text[:40]!r} is not a number of seconds."))
            return None
        return value

    def priority(self) -> int | None:
        """0 to 9."""
        text = self._texts.get("priority", "").strip()
        if not text:
            return None
        if text not in "0123456789":
            message = f"{text[:40]!r} is not a whole number from 0 to 9."
            self._errors.append(FieldError(("priority",), message))
            return None
        return int(text)

    def check(self) -> None:
        """Raises BadInput for all that is wrong."""
        if self._errors:
            raise BadInput("Nothing was sent: see the marked fields.", tuple(self._errors))
