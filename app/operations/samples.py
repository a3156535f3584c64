"""The three sample tasks, which can be submitted before any worker has told of them.

They are part of the public surface (docs/api.md); tests hold them to what the sample worker
itself tells.
"""

import json

from app.domain.events import Json

LONGEST_TASK = 86_400
"""Seconds: a day; longer sleeps are a mistake of units."""
MOST_NUMBERS = 1_000_000
"""Numbers of one computation; a worker holds them in memory."""

_NUMBER = {"type": "number"}


def _schema(**properties: object) -> Json:
    names = list(properties)
    return json.dumps(
        {
            "type": "object",
            "properties": properties,
            "required": names,
            "additionalProperties": False,
            "x-positional": names,
        }
    )


SAMPLES: dict[str, tuple[str, Json]] = {
    "worker.tasks.add": ("Add two numbers.", _schema(x=_NUMBER, y=_NUMBER)),
    "worker.tasks.long_task": (
        "Sleep for so many seconds, telling how far it is.",
        _schema(seconds={**_NUMBER, "minimum": 0, "maximum": LONGEST_TASK}),
    ),
    "worker.tasks.process_data": (
        "Count, sum, mean and more of a list of numbers, telling how far it is.",
        _schema(data={"type": "array", "items": _NUMBER, "minItems": 1, "maxItems": MOST_NUMBERS}),
    ),
}
"""Task name to documentation and the schema of its arguments."""
