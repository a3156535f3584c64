"""What was heard, as the domain's events."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from app.broker.subscription import Heard
from app.broker.transport import Transport
from app.domain.events import Event


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
    raise NotImplementedError
