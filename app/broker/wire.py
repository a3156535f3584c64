"""The types of event that Celery has, and the decoder that tells them apart by their names."""

import msgspec

from app.broker.envelope import WireEvent
from app.broker.wire_tasks import (
    Cancelled,
    Failed,
    Received,
    Rejected,
    Retried,
    Revoked,
    Sent,
    Started,
    Succeeded,
)
from app.broker.wire_workers import Heartbeat, Offline, Online

AnyEvent = (
    Sent
    | Received
    | Started
    | Succeeded
    | Failed
    | Retried
    | Rejected
    | Revoked
    | Cancelled
    | Heartbeat
    | Online
    | Offline
)
KINDS: dict[str, type[WireEvent]] = {
    str(kind.__struct_config__.tag): kind for kind in AnyEvent.__args__
}

decode_body = msgspec.json.Decoder(AnyEvent | list[AnyEvent]).decode
decode_events = msgspec.json.Decoder(list[AnyEvent]).decode
"""The events of an entry of the durable stream."""
