"""Everything that can go wrong and that a person should read about.

UmbelError
├── BadInput               what was asked for can't be done as it stands; nothing was changed
│   ├── BadSearch          a search that is not understood, and where
│   ├── UnknownTaskName    no live worker has registered it
│   ├── TooLarge           a body, a batch or a value over its named limit
│   └── BadSetting         a setting's value is not allowed
├── NotFound               never heard of it
├── Conflict               it has moved on: ended already, or the key was used for something else
│   └── Superseded         another recorder has taken over: this one may write no more
├── Refused                this caller may not do this from there
├── TooMany                a named limit on open streams or requests is reached
├── Unavailable            a part that is needed does not answer; trying again may help
│   ├── BrokerUnavailable
│   ├── StoreUnavailable
│   └── FeedUnavailable
└── CannotStart            `umbel` can't start: a port in use, no Redis binary, an unwritable folder

Each carries one sentence that a person can act on. What it means in HTTP is said once, in
`app.web.errors`; what it means for a shell, once, in `app.cli`.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class UmbelError(Exception):
    """Base of them all. `str(error)` is the sentence."""

    title = "Something went wrong"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field: where it stands, and what is allowed there."""

    loc: tuple[str | int, ...]
    msg: str


class BadInput(UmbelError):
    """What was asked for can't be done as it stands; nothing was changed."""

    title = "The request was not understood"

    def __init__(self, message: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(message)
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Mistake:
    """A place in a search, in characters, and what is wrong with it; `instead` would be right."""

    at: int
    length: int
    message: str
    instead: str | None = None


class BadSearch(BadInput):
    """A search that is not understood. `mistakes` are in the order of the text."""

    title = "The search was not understood"

    def __init__(self, text: str, mistakes: Sequence[Mistake]) -> None:
        self.text = text
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: mistake.at))
        errors = tuple(
            FieldError(("query", "q", one.at, one.at + one.length), one.message)
            for one in self.mistakes
        )
        super().__init__("Some of the search is not understood.", errors)


class UnknownTaskName(BadInput):
    """No live worker has registered a task of that name."""

    title = "Unknown task name"


class TooLarge(BadInput):
    """Over a named limit."""

    title = "Too large"


class BadSetting(BadInput):
    """A setting has a value that is not allowed."""

    title = "Bad setting"


class NotFound(UmbelError):
    """Never heard of it."""

    title = "Not found"


class Conflict(UmbelError):
    """It has moved on since."""

    title = "Conflict"


class Superseded(Conflict):
    """Another recorder has taken over: what this one was about to write is not written."""

    title = "Superseded"


class Refused(UmbelError):
    """This caller may not do this from there."""

    title = "Refused"


class TooMany(UmbelError):
    """A named limit on what is open at once is reached."""

    title = "Too many"
    retry_after = 5.0


class Unavailable(UmbelError):
    """A part that is needed does not answer. `retry_after` is in seconds."""

    title = "Not available right now"
    retry_after = 2.0


class BrokerUnavailable(Unavailable):
    """Redis, as the broker, does not answer."""

    title = "The broker does not answer"


class StoreUnavailable(Unavailable):
    """The database does not answer."""

    title = "The store does not answer"


class FeedUnavailable(Unavailable):
    """Redis, as the home of the feed, does not answer."""

    title = "The live feed does not answer"


class CannotStart(UmbelError):
    """`umbel` can't start as it was asked to."""

    title = "Umbel cannot start"
