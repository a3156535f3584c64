"""uvicorn's HTTP protocol, with a short way for an answer that is there as a whole."""

from collections.abc import Callable
from functools import partial

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

WHOLE_ANSWER = "umbel.whole_answer"
"""Where an endpoint finds what sends its whole answer, if its server can do that."""

WholeAnswer = Callable[[bytes, bytes], bool]
"""Takes the status line with all headers but the server's own, each with its line's end, and the
body. False: nothing was sent, so send it as ASGI has it."""


class Protocol(HttpToolsProtocol):
    """Takes headers from our own endpoints as they are: uvicorn looks through each of them for
    characters that can't be in one, which takes as long as half of sending a task."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        cycle.scope[WHOLE_ANSWER] = partial(_answer, cycle)  # type: ignore[literal-required]
        super()._start_asgi_task(cycle, app)


def _answer(cycle: RequestResponseCycle, head: bytes, body: bytes) -> bool:
    if cycle.flow.write_paused or cycle.disconnected or cycle.response_started or cycle.access_log:
        return False
    cycle.response_started = cycle.response_complete = True
    own = b"".join([b"%b: %b\r\n" % each for each in cycle.default_headers])
    close = b"" if cycle.keep_alive else b"connection: close\r\n"
    cycle.transport.write(b"%b%b%b\r\n%b" % (head, own, close, body))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
