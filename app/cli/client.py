"""Umbel's REST and event stream, as the commands of the shell use them."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NoReturn, Self, TypeAlias

import httpx
from httpx_sse import ServerSentEvent, SSEError, connect_sse

from app.domain.errors import (
    BadInput,
    Conflict,
    FieldError,
    NotFound,
    Refused,
    UmbelError,
    Unavailable,
)

ANSWER = 10.0
"""Seconds that a server may take for an answer; submitting to a dead broker takes it 2."""
SILENCE = 25.0
"""Seconds without a word on a stream that has a heartbeat each 10: the connection is dead."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0
"""Seconds before connecting again: doubled each time, up to the longest."""

Record: TypeAlias = dict[str, Any]
"""One JSON object as the server sent it."""
Pairs: TypeAlias = Sequence[tuple[str, str]]
"""Query parameters; one may stand there several times."""


class TookTooLong(UmbelError):
    """What was waited for did not happen within the time that the caller gave."""

    title = "Timed out"


@dataclass(slots=True)
class Place:
    """Where a reader of a stream is: the id after which it goes on."""

    last_id: str = ""
    pause: float = field(default=FIRST_PAUSE)


class Client:
    """Asks one server. Every failure is one of `app.domain.errors`, with the server's sentence."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        # A proxy of the environment has no business between a shell and a server on loopback.
        trust = "://127." not in self.url and "://localhost" not in self.url
        self._http = httpx.Client(base_url=self.url, timeout=ANSWER, trust_env=trust)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def get(self, path: str, pairs: Pairs = ()) -> Record:
        """The JSON that a path answers with."""
        return self._ask("GET", path, params=list(pairs))

    def post(self, path: str, body: Mapping[str, Any], **headers: str) -> Record:
        """The answer to a JSON body."""
        return self._ask("POST", path, json=dict(body), headers=headers)

    def events(
        self,
        path: str,
        pairs: Pairs = (),
        *,
        place: Place,
        deadline: float | None = None,
        endless: bool = False,
    ) -> Iterator[ServerSentEvent]:
        """Events until the stream ends by itself: connected again, at its place, when cut off.

        An `endless` one has no end: a proxy closed it. Raises Unavailable if the server can't be
        reached at first, TookTooLong at `deadline` (of `time.monotonic`).
        """
        connected = False
        while True:
            try:
                for event in self._connection(path, pairs, place, deadline):
                    connected, place.pause = True, FIRST_PAUSE
                    if event.id:
                        place.last_id = event.id
                    if event.event == "bye":
                        break
                    if event.data:  # without data it is only the stream's word to the reader
                        yield event
                else:
                    if not endless:
                        return
            except (httpx.TransportError, SSEError, Unavailable) as error:
                _check(deadline)
                if not connected:
                    raise self._unreachable(error) from None
            _check(deadline)
            time.sleep(place.pause)
            place.pause = min(place.pause * 2, LONGEST_PAUSE)

    def _connection(
        self, path: str, pairs: Pairs, place: Place, deadline: float | None
    ) -> Iterator[ServerSentEvent]:
        left = SILENCE if deadline is None else max(0.1, deadline - time.monotonic())
        headers = {"Last-Event-ID": place.last_id} if place.last_id else {}
        with connect_sse(
            self._http,
            "GET",
            path,
            params=list(pairs),
            headers=headers,
            timeout=httpx.Timeout(ANSWER, read=min(SILENCE, left)),
        ) as source:
            if source.response.is_error:
                source.response.read()
                _refuse(source.response)
            for event in source.iter_sse():
                yield event
                _check(deadline)

    def _ask(self, method: str, path: str, **more: Any) -> Record:
        try:
            answer = self._http.request(method, path, **more)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        if answer.is_error:
            _refuse(answer)
        found: Record = answer.json()
        return found

    def _unreachable(self, error: Exception) -> Unavailable:
        if isinstance(error, Unavailable):
            return error
        return Unavailable(
            f"Umbel at {self.url} does not answer ({error or type(error).__name__}): start it "
            "with `umbel up`, or say where it is with --url or UMBEL_URL."
        )


def _check(deadline: float | None) -> None:
    if deadline is not None and time.monotonic() >= deadline:
        raise TookTooLong("Not ended within the time given.")


_KINDS: Mapping[int, type[UmbelError]] = {403: Refused, 404: NotFound, 409: Conflict}


def _refuse(answer: httpx.Response) -> NoReturn:
    """Raises what an error answer means."""
    try:
        problem = answer.json()
        sentence = str(problem.get("detail") or problem.get("title"))
    except (ValueError, AttributeError):
        problem, sentence = {}, f"The server answered {answer.status_code}."
    if answer.status_code >= 500:
        raise Unavailable(sentence)
    if kind := _KINDS.get(answer.status_code):
        raise kind(sentence)
    raise BadInput(sentence, tuple(_fields(problem.get("errors") or ())))


def _fields(errors: Iterable[Mapping[str, Any]]) -> Iterator[FieldError]:
    for each in errors:
        yield FieldError(tuple(each.get("loc") or ()), str(each.get("msg")))
