"""What can be set, by environment variable, `.env` file or flag: the only place that says so.

`app.main` and `app.cli` read settings; every other package is handed plain values. Every process
begins with this, so nothing heavy is imported.
"""

import difflib
import ipaddress
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from app.broker.transport import EVENTS_BYTES, NO_RESULTS, Transport, redis_url
from app.domain.errors import BadSetting, CannotStart
from app.domain.label import Label, read_label
from app.domain.links import Links, read_links
from app.store.address import FILE_NAME, address_of

PREFIX = "UMBEL_"
ENV_FILE = Path(".env")
"""Of the working directory."""
SHORTEST_RETENTION = 3600.0
"""Seconds. Shorter than an hour would drop tasks that a person still looks at."""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PASSWORD = re.compile(r":(?!//).*@")
"""From the first colon that isn't the scheme's to the last @, so that a mistyped address hides
its password too."""
_DURATION = re.compile(r"^(\d{1,10})\s*([smhdw])$")
_YES = frozenset({"yes", "y", "true", "t", "on", "1"})
_NO = frozenset({"no", "n", "false", "f", "off", "0"})


@dataclass(frozen=True, slots=True)
class About:
    """One setting: `read` makes its value of text, and raises ValueError or one of our errors.

    `allowed` ends the sentence "UMBEL_X is …, but must be …"; `also` is a variable that is read
    where ours is not given.
    """

    read: Callable[[str], Any]
    allowed: str
    description: str
    also: str = ""


def _about(
    read: Callable[[str], Any], allowed: str, description: str, also: str = ""
) -> dict[str, About]:
    return {"about": About(read, allowed, description, also)}


def _redis(text: str) -> str:
    if text:
        redis_url(text)
    return text


def _results(text: str) -> str:
    return text if text.lower() in NO_RESULTS else _redis(text)


def _database(text: str) -> str:
    if "://" not in text:
        raise ValueError
    address_of(text)
    return text


def _seconds(text: str) -> float:
    parts = _DURATION.match(text.strip().lower())
    found = float(int(parts[1]) * _SECONDS[parts[2]]) if parts else float(text)
    if not found >= SHORTEST_RETENTION:
        raise ValueError
    return found


def _number(least: int, most: int | None = None) -> Callable[[str], int]:
    def read(text: str) -> int:
        found = int(text)
        if found < least or (most is not None and found > most):
            raise ValueError
        return found

    return read


def _yes_or_no(text: str) -> bool:
    word = text.strip().lower()
    if word not in _YES | _NO:
        raise ValueError
    return word in _YES


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        return words[words.index(text.strip().lower())]

    return read


def _some_text(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _options(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError
    return found


_URL = "an address such as redis://:password@host:6379/0"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    """Every setting. Make it with `read_settings`, which checks and says what is wrong; what is
    left empty here and has to be something follows the broker and the data folder."""

    broker_url: str = field(
        default="",
        metadata=_about(
            _redis,
            _URL,
            "The Redis that your Celery application uses as its broker. "
            "`umbel up` runs one of its own where none is given.",
            also="CELERY_BROKER_URL",
        ),
    )
    result_backend: str = field(
        default="",
        metadata=_about(
            _results,
            f"{_URL}, or `none` where results are kept elsewhere",
            "The Redis where the workers keep results; `none` where they are kept "
            "elsewhere. Default: the broker.",
            also="CELERY_RESULT_BACKEND",
        ),
    )
    redis_url: str = field(
        default="",
        metadata=_about(
            _redis,
            _URL,
            "The Redis where Umbel keeps its own live feed and locks, every key "
            "beginning with `umbel:`. Default: the broker.",
        ),
    )
    data_dir: Path = field(
        default=Path(".umbel"),
        metadata=_about(
            Path,
            "a folder that can be written to",
            "The folder of the database and of the embedded Redis.",
        ),
    )
    database_url: str = field(
        default="",
        metadata=_about(
            _database,
            "an address such as postgresql://user:password@host:5432/database or "
            "sqlite:////var/lib/umbel/umbel.db",
            "Where task history is kept: PostgreSQL 13 or newer, or SQLite. Default: "
            "SQLite in the data folder.",
        ),
    )
    host: str = field(
        default="127.0.0.1",
        metadata=_about(
            _some_text,
            "the name or address of a network interface of this machine",
            "The address to listen on. Any other than loopback needs a login, or "
            "UMBEL_ALLOW_OPEN=yes.",
        ),
    )
    port: int = field(
        default=8000,
        metadata=_about(_number(1, 65_535), "a number from 1 to 65535", "The port to listen on."),
    )
    auth: Literal["none"] = field(
        default="none",
        metadata=_about(
            _one_of("none"),
            "none; a login is not part of this version yet",
            "How people log in: `none`.",
        ),
    )
    allow_open: bool = field(
        default=False,
        metadata=_about(
            _yes_or_no,
            "yes or no",
            "`yes`: serve without a login on an address that other machines can reach.",
        ),
    )
    allowed_hosts: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            _names,
            "host names, separated by commas",
            "Further host names under which browsers may reach Umbel, separated by "
            "commas. Loopback names and UMBEL_HOST are always allowed.",
        ),
    )
    retention: float = field(
        default=30.0 * 86_400,
        metadata=_about(
            _seconds,
            "a duration of an hour or more, such as 12h, 30d or 8w",
            "How long ended tasks are kept: `12h`, `30d`, `8w`. Default: `30d`.",
        ),
    )
    events_bytes: int = field(
        default=EVENTS_BYTES,
        metadata=_about(
            _number(1 << 20),
            "a number of bytes from 1048576 (1 MiB)",
            "What the stream of durable events may take of Redis, in bytes. The worker "
            "plugin reads the same variable. Default: 134217728 (128 MiB), half a million events.",
        ),
    )
    label: Label = field(
        default=Label(),
        metadata=_about(
            read_label,
            "a word of up to 24 characters, with or without a colon and one of red, amber, green, "
            "blue, violet and grey",
            "Which environment this is, shown on each page: `production`, `staging`. Names like "
            "these have a colour of their own; another follows a colon: `shop EU:violet`.",
        ),
    )
    links: Links = field(
        default_factory=Links,
        metadata=_about(
            read_links,
            "names and http or https addresses such as Logs=https://logs.example/?q={task_id};"
            "Sentry=https://…, with fields of docs/task.md behind the host",
            "Links from each task to logs, traces and errors elsewhere, separated by semicolons.",
        ),
    )
    log_level: Literal["debug", "info", "warning", "error"] = field(
        default="info",
        metadata=_about(
            _one_of("debug", "info", "warning", "error"),
            "debug, info, warning or error",
            "The least important log lines to print.",
        ),
    )
    log_format: Literal["text", "json"] = field(
        default="text",
        metadata=_about(
            _one_of("text", "json"),
            "text or json",
            "`text` for people, `json` for log collectors: one object a line.",
        ),
    )
    broker_transport_options: dict[str, Any] = field(
        default_factory=dict,
        metadata=_about(
            _options,
            "a JSON object",
            "Celery's setting of the same name, as JSON, where your application has one: "
            "`global_keyprefix`, `fanout_prefix`, `fanout_patterns`, `priority_steps`, `sep`, "
            "`visibility_timeout`.",
        ),
    )
    result_backend_transport_options: dict[str, Any] = field(
        default_factory=dict,
        metadata=_about(
            _options,
            "a JSON object",
            "Celery's setting of the same name, as JSON: `global_keyprefix`.",
        ),
    )
    event_exchange: str = field(
        default="celeryev", metadata=_about(_some_text, "a name", "Celery's `event_exchange`.")
    )
    control_exchange: str = field(
        default="celery", metadata=_about(_some_text, "a name", "Celery's `control_exchange`.")
    )
    default_queue: str = field(
        default="celery",
        metadata=_about(_some_text, "a queue's name", "Celery's `task_default_queue`."),
    )
    queues: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            _names,
            "names of queues, separated by commas",
            "Queues to measure even while no worker reads them, separated by commas.",
        ),
    )

    def __post_init__(self) -> None:
        follows = {
            "result_backend": self.broker_url,
            "redis_url": self.broker_url,
            "database_url": f"sqlite:///{self.data_dir.absolute() / FILE_NAME}",
        }
        for name, value in follows.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)

    @property
    def address(self) -> str:
        """Where a browser on this machine finds Umbel."""
        host = self.host
        if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
            host = "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def transport(self) -> Transport:
        """How the watched Celery application uses Redis. Raises BadSetting without a broker."""
        if not self.broker_url:
            raise BadSetting(
                "UMBEL_BROKER_URL is not set, and no `umbel up` runs on the data folder "
                f"{self.data_dir}: give the Redis of your Celery application, such as "
                "redis://127.0.0.1:6379/0."
            )
        return Transport.from_options(
            self.broker_url,
            self.result_backend,
            self.broker_transport_options,
            self.result_backend_transport_options,
            event_exchange=self.event_exchange,
            control_exchange=self.control_exchange,
            default_queue=self.default_queue,
            queues=self.queues,
        )

    def environment(self) -> dict[str, str]:
        """Every setting as the environment variable that would give it, for a child process."""
        found = {name: _printed(name, getattr(self, name)) for name in SETTINGS}
        return {PREFIX + name.upper(): text for name, text in found.items() if text}

    def __repr__(self) -> str:
        shown = (f"{name}={without_password(text)}" for name, text in self.environment().items())
        return f"Settings({', '.join(shown)})"


SETTINGS: Mapping[str, About] = {each.name: each.metadata["about"] for each in fields(Settings)}
"""Every setting by its name: `UMBEL_LOG_LEVEL` is `log_level`."""


def read_settings(**flags: str | None) -> Settings:
    """The settings of the environment and `.env`, with what flags say above them.

    Raises BadSetting: one sentence with the setting, its value and what is allowed.
    """
    sources = (_not_empty(os.environ), _not_empty(_env_file()))
    given = {name: _given(name, flags.get(name), sources) for name in SETTINGS}
    values = {name: _value(name, text) for name, text in given.items() if text is not None}
    settings = Settings(**values)
    if settings.broker_url:
        settings.transport()
    check_openness(settings)
    return settings


def check_openness(settings: Settings) -> None:
    """Raises BadSetting where other machines could reach us without a login, unasked for."""
    if settings.auth == "none" and not settings.allow_open and not is_loopback(settings.host):
        raise BadSetting(
            f"UMBEL_HOST is {settings.host}, which other machines can reach, and there is no "
            "login: set UMBEL_ALLOW_OPEN=yes if that is what you want, or use 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """Only this machine can reach that address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def without_password(url: str) -> str:
    """The address fit for a log: its password, where it has one, as `***`."""
    return _PASSWORD.sub(":***@", url)


def misspelt(environ: Mapping[str, str] | None = None) -> list[str]:
    """A sentence for each variable that looks like a setting of Umbel and nearly is one."""
    known = [PREFIX + name.upper() for name in SETTINGS]
    found = []
    for name in os.environ if environ is None else environ:
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            found += [f"{name} is not a setting; did you mean {near[0]}?" for _ in near]
    return found


def _env_file() -> Mapping[str, str | None]:
    if not ENV_FILE.is_file():
        return {}
    from dotenv import dotenv_values

    return dotenv_values(ENV_FILE, encoding="utf-8")


def _not_empty(variables: Mapping[str, str | None]) -> dict[str, str]:
    return {name.upper(): text for name, text in variables.items() if text}


def _given(name: str, flag: str | None, sources: Iterable[Mapping[str, str]]) -> str | None:
    """Its text: the flag's, else that of the first source which has it under any of its names."""
    if flag is not None:
        return flag
    variables = (PREFIX + name.upper(), SETTINGS[name].also)
    found = (source[variable] for source in sources for variable in variables if variable in source)
    return next(found, None)


def _value(name: str, text: str) -> Any:
    try:
        return SETTINGS[name].read(text)
    except (ValueError, BadSetting, CannotStart):
        shown, allowed = without_password(text), SETTINGS[name].allowed
        sentence = f"{PREFIX}{name.upper()} is {shown!r}, but must be {allowed}."
        raise BadSetting(sentence) from None


def _printed(name: str, value: Any) -> str:
    if name == "retention":
        return f"{int(value)}s"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, dict):
        return json.dumps(value) if value else ""
    return str(value)
