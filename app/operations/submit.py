"""Whether a submission can be sent as it stands."""

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b

from app.broker.message import Submission
from app.domain.errors import BadInput, FieldError, UnknownTaskName
from app.operations.arguments import (
    Signature,
    check,
    compile_signature,
    fits_by_position,
    read_arguments,
)
from app.operations.catalog import Catalog

NAME_LIMIT = 255
"""Characters of a queue's, a task's or an id's name, as Celery's own backends allow."""
PRIORITIES = 255
"""The largest priority that AMQP knows; on Redis the steps below it share a list."""
CHECKED_AT_ONCE = 200
"""Submissions checked before others get their turn on the event loop: some 2 ms."""
NAMES_KNOWN = 1_000
"""Names found fit or not that are kept: a batch has few of them, thousands of times."""
ERRORS_TOLD = 100
"""Errors told of one batch."""

Loc = tuple[str | int, ...]
Signatures = tuple[Signature | None, ...]
"""One for each version of the application that runs; None allows everything."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


async def check_all(
    submissions: Sequence[Submission], catalog: Catalog, *, batch: bool, checked: bool = True
) -> None:
    """Raises BadInput, or UnknownTaskName, that tells everything wrong with these submissions.

    `checked` False: names and arguments are those of a task that has been sent before.
    """
    now = time.time()
    known: dict[str, Signatures] = {}
    errors: list[FieldError] = []
    for number, given in enumerate(submissions):
        if number and number % CHECKED_AT_ONCE == 0:
            await asyncio.sleep(0)
        if checked and _is_usual(given, known.get(given.name)):
            continue
        loc: Loc = ("body", "tasks", number) if batch else ("body",)
        wrong: list[FieldError] = []
        wrong += _wrong_options(given, now)
        if checked:
            signatures = known.get(given.name)
            if signatures is None:
                signatures = known[given.name] = _signatures(given.name, catalog, loc)
            wrong += _wrong_arguments(given, signatures)
        if wrong:
            errors += [FieldError((*loc, *error.loc), error.msg) for error in wrong]
            if len(errors) >= ERRORS_TOLD:
                break
    if errors:
        raise BadInput(_sentence(errors[0], batch), tuple(errors[:ERRORS_TOLD]))


def is_usual(given: Submission, catalog: Catalog) -> bool:
    """A call by position, without options, of a registered task, and it can be sent. False may
    also be not known: `check_all` tells."""
    entry = catalog.entries.get(given.name)
    if entry is None or not entry.schemas:
        return False
    return _is_usual(given, (compile_signature(entry.schemas[0]),))


def fingerprint(submissions: Sequence[Submission]) -> str:
    """The same for the same request. Moments are left out: "in 5 s" is another one each time."""
    digest = blake2b(digest_size=20)
    for given in submissions:
        kept = (
            given.name,
            given.args,
            given.kwargs,
            given.queue,
            given.priority,
            given.max_retries,
            given.task_id,
            given.retry_of,
        )
        digest.update(repr(kept).encode(errors="backslashreplace"))
    return digest.hexdigest()


def _signatures(name: str, catalog: Catalog, loc: Loc) -> Signatures:
    try:
        entry = catalog.find(name)
    except UnknownTaskName as error:
        message = str(error)
        raise UnknownTaskName(message, (FieldError((*loc, "name"), message),)) from None
    return tuple(compile_signature(schema) for schema in entry.schemas)


def _is_usual(given: Submission, signatures: Signatures | None) -> bool:
    """A call by position, without options, of a task that has been looked up: nothing is wrong
    with it. False may also be not known."""
    values = given.values
    if values is None or values.kwargs or not signatures or signatures[0] is None:
        return False
    return _has_no_options(given) and fits_by_position(values.args, signatures[0])


def _wrong_arguments(given: Submission, signatures: Signatures) -> Sequence[FieldError]:
    arguments = given.values or read_arguments(given.args, given.kwargs)
    if isinstance(arguments, FieldError):
        return [arguments]
    first: Sequence[FieldError] = ()
    for signature in signatures:
        errors = check(arguments, signature) if signature else ()
        if not errors:
            return ()
        first = first or errors
    return first


def _has_no_options(given: Submission) -> bool:
    return (
        given.queue is given.task_id is None
        and given.countdown is given.eta is given.expires is None
        and given.priority is given.max_retries is None
        and _name_problem(given.name) is None
    )


def _wrong_options(given: Submission, now: float) -> Iterator[FieldError]:
    for field, text in (("name", given.name), ("queue", given.queue), ("task_id", given.task_id)):
        if text is not None and (problem := _name_problem(text)):
            yield FieldError((field,), f"{text[:60]!r} {problem}")
    if given.countdown is not None and given.eta is not None:
        yield FieldError(("eta",), "give either countdown or eta, not both")
    if given.countdown is not None and given.countdown < 0:
        allowed = "allowed: 0 seconds or more"
        yield FieldError(("countdown",), f"{given.countdown} is before now; {allowed}")
    if given.expires is not None and given.expires <= now:
        yield FieldError(("expires",), "is over already; allowed: a moment in the future")
    if given.priority is not None and not 0 <= given.priority <= PRIORITIES:
        yield FieldError(("priority",), f"{given.priority} is not one of 0 to {PRIORITIES}")
    if given.max_retries is not None and given.max_retries < 0:
        yield FieldError(("max_retries",), f"{given.max_retries} is below 0")


@lru_cache(maxsize=NAMES_KNOWN)
def _name_problem(text: str) -> str | None:
    if not text:
        return "is empty"
    if len(text) > NAME_LIMIT:
        return f"has {len(text)} characters; allowed: {NAME_LIMIT}"
    if _CONTROL.search(text):
        return "has control characters in it"
    return None


def _sentence(error: FieldError, batch: bool) -> str:
    where = ".".join(str(step) for step in error.loc[1:])
    what = "The batch can't be sent" if batch else "The task can't be sent"
    return f"{what}: {where} {error.msg}."
