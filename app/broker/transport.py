"""How one Celery application uses one Redis: its addresses and the names that it uses there.

Every name is derived as kombu derives it, so that an application with a key prefix, another
database, a renamed exchange or switched-off fan-out patterns is heard like any other.
"""

import re
from bisect import bisect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self, TypeVar
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit

from app.domain.errors import BadSetting

SOCKET_SCHEMES = frozenset({"unix", "socket", "redis+socket", "redis+unix"})
TCP_SCHEMES = frozenset({"redis", "rediss"})
NO_RESULTS = frozenset({"none", "disabled", "disabled://"})
"""Said instead of a result backend's address where there is none to listen to."""
EVENTS_BYTES = 128 << 20
"""What the stream of durable events may take of Redis: about half a million events."""
SSL_OPTIONS = ("ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""The query parameters of a rediss:// address that Celery reads."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """How one Celery application uses one Redis: addresses and names on the wire.

    `url` and `result_url` are as redis-py reads them; an empty `result_url` means that no
    result backend can be listened to. `visibility_timeout` is in seconds; None: nobody told us,
    so it is what workers say, or Celery's own.
    """

    url: str
    result_url: str
    global_keyprefix: str = ""
    result_keyprefix: str = ""
    event_exchange: str = "celeryev"
    control_exchange: str = "celery"
    fanout_prefix: bool | str = True
    fanout_patterns: bool = True
    priority_steps: tuple[int, ...] = (0, 3, 6, 9)
    sep: str = "\x06\x16"
    unacked_name: str = "unacked"
    unacked_index_name: str = "unacked_index"
    visibility_timeout: float | None = None
    default_queue: str = "celery"
    extra_queues: tuple[str, ...] = ()

    @classmethod
    def from_options(
        cls,
        url: str,
        result_url: str | None = None,
        broker_transport_options: Mapping[str, object] | None = None,
        result_backend_transport_options: Mapping[str, object] | None = None,
        *,
        event_exchange: str = "celeryev",
        control_exchange: str = "celery",
        default_queue: str = "celery",
        queues: Iterable[str] = (),
    ) -> Self:
        """From Celery's own settings of these names. Raises BadSetting.

        Options that change no name on the wire are left alone, for they are the workers'.
        """
        broker = _Options("broker_transport_options", broker_transport_options or {})
        result = _Options(
            "result_backend_transport_options", result_backend_transport_options or {}
        )
        return cls(
            url=redis_url(url),
            result_url=_result_url(url, result_url),
            global_keyprefix=broker.read("global_keyprefix", str, ""),
            result_keyprefix=result.read("global_keyprefix", str, ""),
            event_exchange=event_exchange,
            control_exchange=control_exchange,
            fanout_prefix=broker.fanout_prefix(),
            fanout_patterns=broker.read("fanout_patterns", bool, True),
            priority_steps=broker.priority_steps(),
            sep=broker.read("sep", str, "\x06\x16"),
            unacked_name=broker.read("unacked_key", str, "unacked"),
            unacked_index_name=broker.read("unacked_index_key", str, "unacked_index"),
            visibility_timeout=broker.seconds("visibility_timeout"),
            default_queue=default_queue,
            extra_queues=tuple(dict.fromkeys(queue for queue in queues if queue)),
        )

    @property
    def database(self) -> int:
        """The number of the broker's database, which is part of the channels' names."""
        return database_of(self.url)

    def key(self, name: str) -> str:
        """A key or channel of the broker, with the application's prefix."""
        return self.global_keyprefix + name

    def event_channel(self, event_type: str) -> str:
        """The channel on which events of this type are published."""
        if not self.fanout_patterns:
            return self._fanout(self.event_exchange)
        return f"{self._fanout(self.event_exchange)}/{event_type.replace('-', '.')}"

    def event_pattern(self) -> str:
        """What to PSUBSCRIBE to for all events."""
        channel = escape_glob(self._fanout(self.event_exchange))
        return f"{channel}/*" if self.fanout_patterns else channel

    def control_channel(self) -> str:
        """The channel on which workers listen for remote control."""
        return self._fanout(f"{self.control_exchange}.pidbox")

    def queue_key(self, queue: str, priority: int | None = 0) -> str:
        """The list that holds this queue's messages of a priority."""
        step = self.priority_steps[max(0, bisect(self.priority_steps, priority or 0) - 1)]
        return self.key(f"{queue}{self.sep}{step}" if step else queue)

    def queue_keys(self, queue: str) -> tuple[str, ...]:
        """The lists of a queue, one a priority step, in the order that workers read them."""
        return tuple(self.queue_key(queue, step) for step in self.priority_steps)

    def binding_key(self, exchange: str) -> str:
        """The set that names the queues bound to an exchange."""
        return self.key(f"_kombu.binding.{exchange}")

    def unacked_key(self) -> str:
        """The hash of messages handed out and not acknowledged."""
        return self.key(self.unacked_name)

    def unacked_index_key(self) -> str:
        """The sorted set of their delivery tags, by when they were handed out."""
        return self.key(self.unacked_index_name)

    def result_key(self, task_id: str) -> str:
        """The key, and the channel, of a task's result in the result backend."""
        # As celery.backends.base.KeyValueStoreBackend joins them.
        joint = "_" if self.result_keyprefix and self.result_keyprefix[-1] not in ":_-." else ""
        return f"{self.result_keyprefix}{joint}celery-task-meta-{task_id}"

    def result_pattern(self) -> str:
        """What to PSUBSCRIBE to for all results."""
        return escape_glob(self.result_key("")) + "*"

    def _fanout(self, exchange: str) -> str:
        prefix = "/{db}." if self.fanout_prefix is True else self.fanout_prefix or ""
        return self.key(prefix.replace("{db}", str(self.database)) + exchange)


def redis_url(url: str) -> str:
    """A Redis address in any of Celery's forms as redis-py understands it. Raises BadSetting."""
    parts = _split(url)
    scheme = parts.scheme.lower()
    if scheme not in TCP_SCHEMES | SOCKET_SCHEMES:
        allowed = "redis://, rediss://, unix:// and redis+socket://"
        raise BadSetting(f"The address {safe_url(url)!r} is not one of {allowed}.")
    credentials, at, server = parts.netloc.rpartition("@")
    if scheme in SOCKET_SCHEMES:
        path = "/" + f"{server}{parts.path}".lstrip("/")
        return f"unix://{credentials}{at}{path}?db={database_of(url)}"
    if not server or server.startswith(":"):
        server = f"127.0.0.1{server}"
    query = _ssl_query(parts.query) if scheme == "rediss" else ""
    return f"{scheme}://{credentials}{at}{server}/{database_of(url)}{query}"


def database_of(url: str) -> int:
    """The database number of an address: a path such as `/3` or `//`, or a query parameter."""
    parts = _split(url)
    query = parse_qs(parts.query)
    named = (query.get("virtual_host") or query.get("db") or [""])[-1].strip("/")
    text = named or ("" if parts.scheme.lower() in SOCKET_SCHEMES else parts.path.strip("/"))
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadSetting(f"The address {safe_url(url)!r} has no database number but {text!r}.")
    return int(text)


def same_server(one: str, other: str) -> bool:
    """Both addresses reach the same Redis as the same user; databases aside."""
    first, second = urlsplit(redis_url(one)), urlsplit(redis_url(other))
    unix = first.scheme == "unix"
    return (
        first.scheme == second.scheme
        and first.netloc == second.netloc
        and (not unix or first.path == second.path)
    )


def safe_url(url: str) -> str:
    """An address without user, password and options, fit for logs and people's eyes."""
    bare = re.sub(r"//.*@", "//***@", url, count=1, flags=re.DOTALL)
    return bare.partition("?")[0]


def escape_glob(text: str) -> str:
    """Text as a Redis glob pattern that matches it alone."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", text)


def _split(url: str) -> SplitResult:
    if ";" in (url.partition("@")[2] or url) or url.lower().startswith("sentinel:"):
        raise BadSetting(
            f"The address {safe_url(url)!r} names several servers: name the one Redis to watch."
        )
    if "#" in url:
        raise BadSetting("An address holds a '#': write it as %23 where it is in a password.")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise BadSetting(f"The address {safe_url(url)!r} is not a URL.") from None
    return parts


def _ssl_query(query: str) -> str:
    given = parse_qs(query)
    found = {name: given[name][-1] for name in SSL_OPTIONS if name in given}
    if required := found.get("ssl_cert_reqs"):
        found["ssl_cert_reqs"] = required.lower().removeprefix("cert_")
        if found["ssl_cert_reqs"] not in {"none", "optional", "required"}:
            raise BadSetting(f"ssl_cert_reqs is {required!r}, not none, optional or required.")
        if found["ssl_cert_reqs"] == "none":
            found["ssl_check_hostname"] = "false"
    return f"?{urlencode(found)}" if found else ""


def _result_url(url: str, result_url: str | None) -> str:
    if not result_url:
        return redis_url(url)
    if result_url.lower() in NO_RESULTS:
        return ""
    try:
        return redis_url(result_url)
    except BadSetting as error:
        hint = "Results are read from Redis alone: say 'none' where they are kept elsewhere."
        raise BadSetting(f"{error} {hint}") from None


@dataclass(frozen=True, slots=True)
class _Options:
    """One of Celery's transport option mappings, read value by value."""

    setting: str
    given: Mapping[str, object]

    def read(self, name: str, kind: type[T], default: T) -> T:
        value = self.given.get(name, default)
        if not isinstance(value, kind) or value == "" != default:
            raise self._bad(name, value, "text" if kind is str else "true or false")
        return value

    def fanout_prefix(self) -> bool | str:
        value = self.given.get("fanout_prefix", True)
        if not isinstance(value, bool | str):
            raise self._bad("fanout_prefix", value, "true, false or text")
        return value

    def seconds(self, name: str) -> float | None:
        if name not in self.given:
            return None
        value = self.given[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise self._bad(name, value, "seconds above 0")
        return float(value)

    def priority_steps(self) -> tuple[int, ...]:
        value = self.given.get("priority_steps", (0, 3, 6, 9))
        steps = tuple(value) if isinstance(value, list | tuple) else ()
        if (
            not steps
            or not all(type(step) is int and 0 <= step <= 255 for step in steps)
            or list(steps) != sorted(set(steps))
        ):
            raise self._bad("priority_steps", value, "ascending integers from 0 to 255")
        return steps

    def _bad(self, name: str, value: object, allowed: str) -> BadSetting:
        return BadSetting(f"{self.setting}: {name} is {value!r}; allowed is {allowed}.")
