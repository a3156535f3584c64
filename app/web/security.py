"""What no request gets past: known hosts, same origin, bounded bodies; and headers on answers.

Each is a plain ASGI middleware: Starlette's BaseHTTPMiddleware would make every streamed
message several times as dear (docs/decisions/0005-sse.md).
"""

import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain.errors import TooLarge
from app.web.errors import problem_response

BODY_LIMIT = 1 << 20
"""Bytes of a request's body: a task's arguments, not a file."""
BATCH_LIMIT = 16 << 20
"""Bytes of a batch: 10,000 tasks of 1.6 KB."""
BODY_LIMITS = {"/tasks/batch": BATCH_LIMIT}

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


class KnownHosts:
    """Answers only to its own names, so that no foreign name can be rebound to this address.

    `*` allows every name. With `addresses`, any literal IP address is a name of ours too:
    only names can be rebound, and a server on all interfaces has many addresses.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str], addresses: bool = False) -> None:
        self.app = app
        self.names = frozenset(name.lower() for name in names)
        self.addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        host = _header(scope, b"host")
        if host is not None and self.allows(host.decode("latin-1")):
            return await self.app(scope, receive, send)
        shown = "" if host is None else ascii(host.decode("latin-1")[:100]) + " "
        refusal = problem_response(
            scope["path"],
            400,
            f"The host name {shown}is not one that Umbel answers to. "
            "UMBEL_ALLOWED_HOSTS can add it.",
            title="Unknown host",
        )
        return await refusal(scope, receive, send)

    def allows(self, host: str) -> bool:
        """Whether a Host header's value is one of ours, whatever its port."""
        name = _without_port(host).lower().rstrip(".")
        if name in self.names or "*" in self.names:
            return True
        return self.addresses and _is_address(name)


class SameOrigin:
    """Unsafe methods only from our own pages or from programs, never from another site's page.

    Browsers say where a request comes from, by Sec-Fetch-Site or else by Origin. A request
    with neither was not sent by a page: shells and scripts need no token.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS or _is_own(scope):
            return await self.app(scope, receive, send)
        refusal = problem_response(
            scope["path"],
            403,
            "This was sent by a page of another site; only Umbel's own pages, and programs "
            "that are no browsers, may do this.",
            title="Refused",
        )
        return await refusal(scope, receive, send)


class BodyLimits:
    """Refuses a body over its limit by what it says of its length, or else while it arrives."""

    def __init__(self, app: ASGIApp, limits: Mapping[str, int] = BODY_LIMITS) -> None:
        self.app = app
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            return await self.app(scope, receive, send)
        limit = self.limits.get(scope["path"], BODY_LIMIT)
        length = _header(scope, b"content-length")
        if length is not None:
            if length.isdigit() and int(length) <= limit:
                return await self.app(scope, receive, send)
            refusal = problem_response(scope["path"], 413, _too_large(limit), title=TooLarge.title)
            return await refusal(scope, receive, send)
        return await self.app(scope, _counting(receive, limit), send)


class AnswerHeaders:
    """The same few headers on every answer; none is set where the answer has its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.usual = _policy_headers(POLICY)
        self.of_docs = _policy_headers(DOCS_POLICY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        extra = self.of_docs if scope["path"] == DOCS_PATH else self.usual

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                headers += extra
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message["headers"] = headers
            await send(message)

        return await self.app(scope, receive, send_with_headers)


class HeadAsGet:
    """Answers HEAD with the headers of GET. The server itself drops the body of such an answer.

    A stream can't be answered by running it: those endpoints look at `scope["head"]`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET", "head": True}
        return await self.app(scope, receive, send)


def known_names(bound: str, more: Iterable[str]) -> tuple[str, ...]:
    """The host names to answer to: loopback's, the bound address and what was set."""
    own = f"[{bound}]" if ":" in bound else bound
    return (*LOOPBACK_HOSTS, own, *(_without_port(name.strip()) for name in more))


def _is_own(scope: Scope) -> bool:
    site = _header(scope, b"sec-fetch-site")
    if site is not None:
        return site.lower() in OWN_SITE
    origin = _header(scope, b"origin")
    if origin is None:
        return True
    host = _header(scope, b"host") or b""
    try:
        return urlsplit(origin.decode("latin-1")).netloc.lower() == host.decode("latin-1").lower()
    except ValueError:
        return False


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


def _policy_headers(policy: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"same-origin"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]


def _header(scope: Scope, wanted: bytes) -> bytes | None:
    for name, value in scope["headers"]:
        if name == wanted:
            return bytes(value)
    return None


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.rsplit(":", 1)[0] if host.count(":") == 1 else host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
