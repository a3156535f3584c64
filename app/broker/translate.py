"""What was heard, as the domain's events. The hot path of the recorder.

A message that is as Celery writes it is decoded in two calls: kombu's envelope with its
base64, then the body straight into typed structures. Anything else goes to `careful`.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import structlog

from app.broker import careful
from app.broker.envelope import decode_envelope
from app.broker.results import read_result
from app.broker.subscription import Heard
from app.broker.transport import Transport
from app.broker.wire import decode_body
from app.domain.errors import BadInput
from app.domain.events import Event

EVENT_LIMIT = 32 << 20
"""Bytes of one message: by default Redis cuts off a subscriber whom it owes more. An exception
of 5 MB makes 14 MB, as its text stands in the traceback too, and all of it is in base64."""

log = structlog.get_logger()


@dataclass(slots=True)
class Translation:
    """The events that messages meant, in order; what was refused or repaired, by reason."""

    events: list[Event] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def malformed(self) -> int:
        """How many messages, events or fields were not as they should be."""
        return self.reasons.total()


def translate(heard: Iterable[Heard], transport: Transport) -> Translation:
    """The events that these messages mean. Never raises, whatever the input."""
    found = Translation()
    results = transport.result_key("").encode() if transport.result_url else None
    for channel, payload, heard_at in heard:
        try:
            if results is not None and channel.startswith(results):
                found.events.append(
                    read_result(channel[len(results) :], payload, heard_at, found.reasons)
                )
            else:
                _read_events(payload, heard_at, found)
        except BadInput as error:
            found.reasons[str(error)] += 1
        except Exception:
            # The promise of this function: no stranger's message ever stops the recorder.
            found.reasons["unexpected"] += 1
            log.exception("translate.unexpected", bytes=len(payload))
    return found


def _read_events(payload: bytes, heard_at: float, found: Translation) -> None:
    if len(payload) > EVENT_LIMIT:
        raise BadInput("too large")
    try:
        envelope = decode_envelope(payload)
        if envelope.content_type != careful.JSON_TYPE or (
            envelope.headers is not None and envelope.headers.compression
        ):
            raise BadInput("not plain JSON")
        wired = decode_body(envelope.body)
        if isinstance(wired, list):
            events = [one.event(heard_at) for one in wired]
        else:
            events = [wired.event(heard_at)]
    except (msgspec.MsgspecError, ValueError, RecursionError, BadInput):
        events = list(careful.read_message(payload, heard_at, found.reasons))
    found.events += events
