"""Celery's worker events as they are on the wire, each with the domain's event that it means."""

from typing import ClassVar

from app.broker import texts
from app.broker.envelope import WireEvent
from app.domain import events as domain


class Heartbeat(WireEvent, tag="worker-heartbeat", kw_only=True, gc=False):
    """A worker is there. `freq` is in seconds, `processed` counts since it started."""

    pid: int | None = None
    freq: float | None = None
    active: int | None = None
    processed: int | None = None
    loadavg: list[float] | None = None
    sw_ident: str | None = None
    sw_ver: str | None = None
    sw_sys: str | None = None

    online: ClassVar[bool] = False

    def event(self, heard_at: float) -> domain.WorkerHeartbeat:
        software = " ".join(part for part in (self.sw_ident, self.sw_ver, self.sw_sys) if part)
        return domain.WorkerHeartbeat(
            worker=texts.worker(self.hostname),
            at=texts.moment(self.timestamp, heard_at),
            heard_at=heard_at,
            online=self.online,
            pid=texts.count(self.pid),
            active=texts.count(self.active),
            processed=texts.count(self.processed),
            loadavg=tuple(load for load in (self.loadavg or ())[:3] if 0 <= load < 1e6),
            frequency=texts.duration(self.freq),
            software=texts.name(software),
        )


class Online(Heartbeat, tag="worker-online", kw_only=True, gc=False):
    """The first word of a worker, also after it has lost its connection."""

    online = True


class Offline(WireEvent, tag="worker-offline", kw_only=True, gc=False):
    """It shuts down; tasks that it runs can still end after this."""

    def event(self, heard_at: float) -> domain.WorkerOffline:
        return domain.WorkerOffline(
            worker=texts.worker(self.hostname),
            at=texts.moment(self.timestamp, heard_at),
            heard_at=heard_at,
        )
