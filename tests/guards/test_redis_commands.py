"""How often the recorder talks to Redis: for each tick, and not for each event."""

import time
from functools import partial
from typing import Any

from app.domain.tasks import TaskState
from tests.recorder.support import Recording, life
from tests.support import eventually_async

TASKS = 500
COMMANDS = TASKS // 5
"""Of the recorder for all of them: it makes some 20, and a few each second that it lives, which
a busy machine has more of. One for each task would be 500."""
OTHERS = {"publish", "xadd", "info"}
"""What this test sends itself, and what a script does inside of Redis: one XADD for each change."""


async def test_what_comes_at_once_is_announced_by_a_few_commands(recording: Recording) -> None:
    await eventually_async(partial(has_looked_around, recording))
    said = [event for number in range(TASKS) for event in life(f"t{number}", time.time())]
    before = await commands(recording)
    await recording.say(*said)
    await recording.reaches(f"t{TASKS - 1}", TaskState.SUCCESS)
    after = await commands(recording)
    sent = {name: count - before.get(name, 0) for name, count in after.items()}
    assert sent["publish"] == 4 * TASKS
    assert sum(count for name, count in sent.items() if name not in OTHERS) <= COMMANDS, sent


async def has_looked_around(recording: Recording) -> bool:
    """It is done with what a start costs: asking workers, queues and results."""
    status = await recording.status()
    return status is not None and status.checked_at is not None


async def commands(recording: Recording) -> dict[str, int]:
    found: dict[str, Any] = await recording.redis.info("commandstats")
    return {name.removeprefix("cmdstat_"): int(each["calls"]) for name, each in found.items()}
