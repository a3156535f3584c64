"""kombu's envelope, and what all of Celery's events have in common inside it."""

import msgspec

from app.domain import events as domain

ABSENT = msgspec.Raw(b"")
"""A JSON value that a document does not have."""


class Envelope(msgspec.Struct, gc=False):
    """kombu's message around a body, which it writes in base64."""

    body: bytes
    content_type: str = msgspec.field(name="content-type", default="application/json")
    headers: "Headers | None" = None


class Headers(msgspec.Struct, gc=False):
    """The headers that say how the body is to be read."""

    compression: str | None = None


class WireEvent(msgspec.Struct, tag_field="type", kw_only=True, gc=False):
    """What every event has. `timestamp` is in seconds since the epoch, of the sender's clock."""

    hostname: str | None = None
    timestamp: float | None = None

    def event(self, heard_at: float) -> domain.Event:
        """The domain's event. Raises BadInput where it is about nothing that can be named."""
        raise NotImplementedError


decode_envelope = msgspec.json.Decoder(Envelope).decode
