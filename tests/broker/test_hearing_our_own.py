"""What Umbel itself publishes is heard with more than stock events tell: the true arguments."""

import asyncio
import json

from app.broker.publish import Publisher, Submission
from app.broker.subscription import Subscription
from app.broker.translate import translate
from app.broker.transport import Transport
from app.domain.events import TaskSent
from tests.support import PATIENCE


async def hear_sent(opened: Subscription, transport: Transport, count: int) -> list[TaskSent]:
    found: list[TaskSent] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            told = translate(await opened.read(), transport)
            assert not told.reasons
            found += [event for event in told.events if isinstance(event, TaskSent)]
    return found


async def test_our_own_submissions_are_heard_with_their_true_arguments(redis_url: str) -> None:
    transport = Transport.from_options(redis_url, None, {"global_keyprefix": "P"})
    publisher = Publisher(transport)
    opened = await Subscription.open(transport)
    await publisher.open()
    try:
        args, kwargs = '[12345678901234567890, "é"]', '{"b": [1.5, null]}'
        one = Submission(name="a.b", args=args, kwargs=kwargs, priority=6, retry_of="t0")
        sent = (await publisher.publish([one])).task_ids
        (event,) = await hear_sent(opened, transport, 1)
        assert (event.task_id, event.name, event.queue) == (sent[0], "a.b", "celery")
        assert json.loads(event.args or "") == json.loads(args)
        assert json.loads(event.kwargs or "") == json.loads(kwargs)
        assert (event.priority, event.retry_of) == (6, "t0")
        assert (event.root_id, event.parent_id, event.retries) == (sent[0], None, 0)

        many = [Submission(name="a.b", args=f"[{number}]", queue="mail") for number in range(500)]
        ids = (await publisher.publish(many)).task_ids
        events = await hear_sent(opened, transport, 500)
        assert [event.task_id for event in events] == list(ids)
        assert [event.args for event in events] == [f"[{number}]" for number in range(500)]
        assert {event.queue for event in events} == {"mail"}
    finally:
        await publisher.close()
        await opened.close()
