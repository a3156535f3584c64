"""What can be set, by environment variable, `.env` file or flag: the only place that says so.

`app.main` and `app.cli` read settings; every other package is handed plain values.
"""

import difflib
import ipaddress
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.broker.durable import EVENTS_BYTES
from app.broker.transport import NO_RESULTS, Transport, redis_url
from app.domain.errors import BadSetting, CannotStart
from app.store.address import address_of

PREFIX = "UMBEL_"
SHORTEST_RETENTION = 3600.0
"""Seconds. Shorter than an hour would drop tasks that a person still looks at."""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PASSWORD = re.compile(r":(?!//).*@")
"""From the first colon that isn't the scheme's to the last @, so that a mistyped address hides
its password too."""
_DURATION = re.compile(r"^(\d{1,10})\s*([smhdw])$")


def _redis_url(value: str) -> str:
    try:
        if value:
            redis_url(value)
    except BadSetting as error:
        raise ValueError(str(error)) from None
    return value


def _result_url(value: str) -> str:
    return value if value.lower() in NO_RESULTS else _redis_url(value)


def _database_url(value: str) -> str:
    if "://" not in value:
        raise ValueError("not an address")
    try:
        address_of(value)
    except CannotStart as error:
        raise ValueError(str(error)) from None
    return value


def _seconds(value: object) -> object:
    if isinstance(value, int | float):
        found = float(value)
    elif parts := _DURATION.match(str(value).strip().lower()):
        found = float(int(parts[1]) * _SECONDS[parts[2]])
    else:
        raise ValueError("not a duration")
    if not found >= SHORTEST_RETENTION:  # here, so that the sentence has it as it was given
        raise ValueError("too short")
    return found


def _names(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(name for part in value.split(",") if (name := part.strip()))


def _options(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = json.loads(value)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return found


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _setting(allowed: str, **more: Any) -> Any:
    """A field; `allowed` ends the sentence "UMBEL_X is …, but must be …"."""
    return Field(json_schema_extra={"allowed": allowed}, **more)


RedisUrl = Annotated[str, AfterValidator(_redis_url)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
Options = Annotated[dict[str, Any], NoDecode, BeforeValidator(_options)]

_URL = "an address such as redis://:password@host:6379/0"


class Settings(BaseSettings):
    """Every setting, checked. Make it with `read_settings`, which puts errors into a sentence."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    broker_url: RedisUrl = _setting(
        _URL,
        default="",
        validation_alias=AliasChoices("UMBEL_BROKER_URL", "CELERY_BROKER_URL"),
        description="The Redis that your Celery application uses as its broker. "
        "`umbel up` runs one of its own where none is given.",
    )
    result_backend: Annotated[str, AfterValidator(_result_url)] = _setting(
        f"{_URL}, or `none` where results are kept elsewhere",
        default_factory=lambda data: data.get("broker_url", ""),
        validation_alias=AliasChoices("UMBEL_RESULT_BACKEND", "CELERY_RESULT_BACKEND"),
        description="The Redis where the workers keep results; `none` where they are kept "
        "elsewhere. Default: the broker.",
    )
    redis_url: RedisUrl = _setting(
        _URL,
        default_factory=lambda data: data.get("broker_url", ""),
        description="The Redis where Umbel keeps its own live feed and locks, every key "
        "beginning with `umbel:`. Default: the broker.",
    )
    data_dir: Path = _setting(
        "a folder that can be written to",
        default=Path(".umbel"),
        description="The folder of the database and of the embedded Redis.",
    )
    database_url: Annotated[str, AfterValidator(_database_url)] = _setting(
        "an address such as postgresql://user:password@host:5432/database or "
        "sqlite:////var/lib/umbel/umbel.db",
        default_factory=lambda data: f"sqlite:///{data['data_dir'].absolute() / 'umbel.db'}",
        description="Where task history is kept: PostgreSQL 13 or newer, or SQLite. Default: "
        "SQLite in the data folder.",
    )
    host: str = _setting(
        "the name or address of a network interface of this machine",
        default="127.0.0.1",
        min_length=1,
        description="The address to listen on. Any other than loopback needs a login, or "
        "UMBEL_ALLOW_OPEN=yes.",
    )
    port: int = _setting(
        "a number from 1 to 65535",
        default=8000,
        ge=1,
        le=65_535,
        description="The port to listen on.",
    )
    auth: Annotated[Literal["none"], BeforeValidator(_lower)] = _setting(
        "none; a login is not part of this version yet",
        default="none",
        description="How people log in: `none`.",
    )
    allow_open: bool = _setting(
        "yes or no",
        default=False,
        description="`yes`: serve without a login on an address that other machines can reach.",
    )
    allowed_hosts: Names = _setting(
        "host names, separated by commas",
        default=(),
        description="Further host names under which browsers may reach Umbel, separated by "
        "commas. Loopback names and UMBEL_HOST are always allowed.",
    )
    retention: Annotated[float, BeforeValidator(_seconds)] = _setting(
        "a duration of an hour or more, such as 12h, 30d or 8w",
        default=30.0 * 86_400,
        description="How long ended tasks are kept: `12h`, `30d`, `8w`. Default: `30d`.",
    )
    events_bytes: int = _setting(
        "a number of bytes from 1048576 (1 MiB)",
        default=EVENTS_BYTES,
        ge=1 << 20,
        description="What the stream of durable events may take of Redis, in bytes. The worker "
        "plugin reads the same variable. Default: 134217728 (128 MiB), half a million events.",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = (
        _setting(
            "debug, info, warning or error",
            default="info",
            description="The least important log lines to print.",
        )
    )
    log_format: Annotated[Literal["text", "json"], BeforeValidator(_lower)] = _setting(
        "text or json",
        default="text",
        description="`text` for people, `json` for log collectors: one object a line.",
    )
    broker_transport_options: Options = _setting(
        "a JSON object",
        default_factory=dict,
        description="Celery's setting of the same name, as JSON, where your application has one: "
        "`global_keyprefix`, `fanout_prefix`, `fanout_patterns`, `priority_steps`, `sep`, "
        "`visibility_timeout`.",
    )
    result_backend_transport_options: Options = _setting(
        "a JSON object",
        default_factory=dict,
        description="Celery's setting of the same name, as JSON: `global_keyprefix`.",
    )
    event_exchange: str = _setting(
        "a name",
        default="celeryev",
        min_length=1,
        description="Celery's `event_exchange`.",
    )
    control_exchange: str = _setting(
        "a name",
        default="celery",
        min_length=1,
        description="Celery's `control_exchange`.",
    )
    default_queue: str = _setting(
        "a queue's name",
        default="celery",
        min_length=1,
        description="Celery's `task_default_queue`.",
    )
    queues: Names = _setting(
        "names of queues, separated by commas",
        default=(),
        description="Queues to measure even while no worker reads them, separated by commas.",
    )

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
        found = {}
        for name in type(self).model_fields:
            if text := _printed(name, getattr(self, name)):
                found[PREFIX + name.upper()] = text
        return found

    def __repr__(self) -> str:
        shown = (f"{name}={without_password(text)}" for name, text in self.environment().items())
        return f"Settings({', '.join(shown)})"

    __str__ = __repr__


def read_settings(**flags: object) -> Settings:
    """The settings of the environment and `.env`, with what flags say above them.

    Raises BadSetting: one sentence with the setting, its value and what is allowed.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = Settings(**cast(dict[str, Any], given))
    except ValidationError as error:
        raise BadSetting(_sentence(error)) from None
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


def allowed(name: str) -> str:
    """What may stand in a setting, as words."""
    extra = cast(Mapping[str, str], _field(name).json_schema_extra)
    return extra["allowed"]


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
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    found = []
    for name in os.environ if environ is None else environ:
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            found += [f"{name} is not a setting; did you mean {near[0]}?" for _ in near]
    return found


def _field(name: str) -> FieldInfo:
    return Settings.model_fields[name]


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    given = str(first["loc"][0])
    name = (
        next(field for field in Settings.model_fields if given.lower().endswith(field))
        if given not in Settings.model_fields
        else given
    )
    value = without_password(str(first["input"]))
    return f"{PREFIX}{name.upper()} is {value!r}, but must be {allowed(name)}."


def _printed(name: str, value: object) -> str:
    if name == "retention":
        return f"{int(cast(float, value))}s"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, dict):
        return json.dumps(value) if value else ""
    return str(value)
