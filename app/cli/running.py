"""The broker that a command means where none is given: that of the `umbel up` at work here."""

from dataclasses import replace

from app.cli.data_folder import running_on
from app.settings import Settings


def with_running_broker(settings: Settings) -> Settings:
    """The same settings; without a broker, with that of an `umbel up` on the data folder."""
    if settings.broker_url:
        return settings
    up = running_on(settings.data_dir)
    return settings if up is None else with_broker(settings, up.broker_url)


def with_broker(settings: Settings, url: str) -> Settings:
    """The same settings on that Redis, wherever they did not name another."""
    return replace(settings, broker_url=url)
