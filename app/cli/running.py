"""The broker that a command means where none is given: that of the `umbel up` at work here."""

from app.cli.data_folder import running_on
from app.settings import Settings


def with_running_broker(settings: Settings) -> Settings:
    """The same settings; without a broker, with that of an `umbel up` on the data folder."""
    if settings.broker_url:
        return settings
    up = running_on(settings.data_dir)
    if up is None:
        return settings
    return with_broker(settings, up.broker_url)


def with_broker(settings: Settings, url: str) -> Settings:
    """The same settings on that Redis, wherever they did not name another."""
    given = {
        "broker_url": url,
        "result_backend": settings.result_backend or url,
        "redis_url": settings.redis_url or url,
    }
    return settings.model_copy(update=given)
