"""What no request gets past: known hosts, same origin, bounded bodies; and headers on answers.

It is one plain ASGI middleware: Starlette's BaseHTTPMiddleware would make every streamed
message several times as dear (docs/decisions/0005-sse.md), and five small ones would each cost
as much as they do.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain.errors import Refused, TooLarge
from app.web.errors import problem_response

BODY_LIMIT = 1 << 20
"""Bytes of a request's body: a task's arguments, not a file."""
BATCH_LIMIT = 16 << 20
"""Bytes of a batch: 10,000 tasks of 1.6 KB."""
BODY_LIMITS = {"/tasks/batch": BATCH_LIMIT}

_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(?::\d*)?")
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
OWN_SITE = frozenset({b"same-origin", b"none"})

POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)
DOCS_POLICY = POLICY + "; img-src 'self' data:"
"""The API's documentation draws its arrows from its own style sheet, as data: images."""
DOCS_PATH = "/docs"
_OTHERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin")]
HEADERS = [(b"content-security-policy", POLICY.encode()), *_OTHERS]
DOCS_HEADERS = [(b"content-security-policy", DOCS_POLICY.encode()), *_OTHERS]
NO_STORE = (b"cache-control", b"no-store")

PLAIN_SEND = "umbel.send"
"""Where a stream finds the `send` that adds nothing, for when its answer has begun."""
LOOKED_AT = (b"host", b"origin", b"sec-fetch-site", b"content-length")
HOSTS_REMEMBERED = 100
"""Host headers found to be ours; somebody may send any number of ports."""


class Gate:
    """What every request passes before anything else looks at it. One look at its headers.

    `names` are the hosts to answer to, `*` all; with `addresses`, any literal IP address is one
    of ours too: only names can be rebound, and a server on all interfaces has many addresses.
    HEAD is answered as GET, for the server drops the body of such an answer by itself; an
    endless stream looks at `scope["head"]`. What is posted to the paths of `direct`, and what is
    read below those of `streams`, goes to an endpoint that turns its errors into answers by
    itself, past the framework's layers: each costs as much time as this one, and memory for as
    long as a stream is open.
    """

    def __init__(
        self,
        app: ASGIApp,
        names: Iterable[str],
        addresses: bool = False,
        limits: Mapping[str, int] = BODY_LIMITS,
        direct: Mapping[str, ASGIApp] = MappingProxyType({}),
        streams: Mapping[str, ASGIApp] = MappingProxyType({}),
    ) -> None:
        self.app = app
        self.names = frozenset(name.lower() for name in names)
        self.addresses = addresses
        self.limits = limits
        self.direct = direct
        self.streams = streams
        self._streamed = tuple(streams)
        self._allowed: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method, given = scope["method"], _given(scope)
        answer = self.app
        if not self.allows(given[b"host"]):
            answer = _unknown_host(scope["path"], given[b"host"])
        elif method == "HEAD":
            scope = {**scope, "method": "GET", "head": True}
        elif method == "GET":
            if scope["path"].startswith(self._streamed):
                answer = self._stream_at(scope["path"])
        elif method not in SAFE_METHODS:
            if method == "POST":
                answer = self.direct.get(scope["path"], answer)
            limit = self.limits.get(scope["path"], BODY_LIMIT)
            length = given[b"content-length"]
            if not _is_own(given):
                answer = _foreign(scope["path"])
            elif length is None:
                receive = _counting(receive, limit)
            elif not length.isdigit() or int(length) > limit:
                answer = _over_limit(scope["path"], limit)
        scope[PLAIN_SEND] = send
        send = _with_headers(scope["path"], send)
        await answer(scope, receive, send)

    def _stream_at(self, path: str) -> ASGIApp:
        for place, stream in self.streams.items():
            if path == place or (place.endswith("/") and path.startswith(place)):
                return stream
        return self.app

    def allows(self, host: bytes | None) -> bool:
        """Whether a Host header's value is one of ours, whatever its port."""
        if host is None:
            return False
        if host in self._allowed:
            return True
        name = _without_port(host.decode("latin-1")).lower().rstrip(".")
        known = name in self.names or "*" in self.names or (self.addresses and _is_address(name))
        if known and len(self._allowed) < HOSTS_REMEMBERED:
            self._allowed.add(host)
        return known


def known_names(bound: str, more: Iterable[str]) -> tuple[str, ...]:
    """The host names to answer to: loopback's, the bound address and what was set."""
    own = f"[{bound}]" if ":" in bound else bound
    return (*LOOPBACK_HOSTS, own, *(_without_port(name.strip()) for name in more))


def _given(scope: Scope) -> dict[bytes, bytes | None]:
    """The headers that the gate looks at."""
    given: dict[bytes, bytes | None] = dict.fromkeys(LOOKED_AT)
    for name, value in scope["headers"]:
        if name in LOOKED_AT:
            given[name] = value
    return given


def _is_own(given: Mapping[bytes, bytes | None]) -> bool:
    """Sent by one of our own pages, or by a program.

    Browsers say where a request comes from, by Sec-Fetch-Site or else by Origin. A request
    with neither was not sent by a page: shells and scripts need no token.
    """
    site, origin = given[b"sec-fetch-site"], given[b"origin"]
    if site is not None:
        return site.lower() in OWN_SITE
    if origin is None:
        return True
    host = given[b"host"] or b""
    try:
        return urlsplit(origin.decode("latin-1")).netloc.lower() == host.decode("latin-1").lower()
    except ValueError:
        return False


def _with_headers(path: str, send: Send) -> Send:
    """Adds the headers that every answer has; none is kept by caches unless it says so."""
    extra = DOCS_HEADERS if path == DOCS_PATH else HEADERS

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = message["headers"]
            cached = b"cache-control" in dict(headers)
            message["headers"] = [*headers, *extra] if cached else [*headers, *extra, NO_STORE]
        await send(message)

    return send_with_headers


def _unknown_host(path: str, host: bytes | None) -> Response:
    shown = "" if host is None else ascii(host.decode("latin-1")[:100]) + " "
    return problem_response(
        path,
        400,
        f"The host name {shown}is not one that Umbel answers to. UMBEL_ALLOWED_HOSTS can add it.",
        title="Unknown host",
    )


def _foreign(path: str) -> Response:
    return problem_response(
        path,
        403,
        "This was sent by a page of another site; only Umbel's own pages, and programs that are "
        "no browsers, may do this.",
        title=Refused.title,
    )


def _over_limit(path: str, limit: int) -> Response:
    return problem_response(path, 413, _too_large(limit), title=TooLarge.title)


def _counting(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise TooLarge(_too_large(limit))
        return message

    return counted


def _too_large(limit: int) -> str:
    return f"The body is larger than {limit:,} bytes, which is what is allowed here."


def _without_port(host: str) -> str:
    found = _HOST_AND_PORT.fullmatch(host)
    return found[1] if found else host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
