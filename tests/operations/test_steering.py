"""Revoking and retrying: who is asked, what is written down, what can't be done and why."""

import base64
import json
import signal
from collections.abc import Callable

import pytest

from app.broker.message import INLINE_ARGUMENTS, Submission
from app.domain.errors import BadInput, BrokerUnavailable, Conflict, NotFound, Refused
from app.domain.tasks import ENDED, Task, TaskState
from app.operations.actor import Actor
from app.operations.operations import Changes
from app.operations.revoke import SIGNALS
from app.store import audit
from tests.operations.conftest import House
from tests.support import Process, eventually_async

Start = Callable[..., Process]


def task(task_id: str = "t", state: TaskState = TaskState.STARTED, **more: object) -> Task:
    given: dict[str, object] = {"name": "mail.send", "args": "[1]", "kwargs": "{}", **more}
    return Task(id=task_id, seq=1 << 60, state=state, **given)  # type: ignore[arg-type]


def sent(house: House, queue: str = "celery") -> tuple[dict[str, object], list[object]]:
    message = json.loads(house.redis.lindex(queue, 0))
    return message["headers"], json.loads(base64.b64decode(message["body"]))


async def test_a_task_never_heard_of_cannot_be_steered(house: House) -> None:
    with pytest.raises(NotFound):
        await house.operations.revoke(house.actor, "nobody")
    with pytest.raises(NotFound):
        await house.operations.retry(house.actor, "nobody")
    assert audit.entries(house.db) == []


@pytest.mark.parametrize("state", sorted(ENDED))
async def test_a_task_that_has_ended_cannot_be_revoked(state: TaskState, house: House) -> None:
    house.keep(task(state=state))
    with pytest.raises(Conflict, match=state.value):
        await house.operations.revoke(house.actor, "t")


async def test_a_task_just_submitted_can_be_revoked(house: House) -> None:
    add = Submission(name="worker.tasks.add", args="[2, 3]")
    (task_id,) = (await house.operations.submit(house.actor, add)).task_ids
    requested = await house.operations.revoke(house.actor, task_id)
    assert (requested.task_id, requested.heard, requested.signal) == (task_id, 0, None)


async def test_without_a_worker_the_message_is_taken_back_and_that_is_told(house: House) -> None:
    add = Submission(name="worker.tasks.add", args="[2, 3]", queue="mail", priority=5)
    batch = [add] * 1_203
    ids = (await house.operations.submit_batch(house.actor, batch)).task_ids
    house.redis.lpush("mail", b"no JSON", b'"' + ids[2].encode() + b'"')
    with house.redis.pubsub() as listener:
        listener.psubscribe("/0.celeryev/*")
        listener.get_message(timeout=5)
        for task_id in (ids[0], ids[601], ids[1_202]):
            requested = await house.operations.revoke(house.actor, task_id)
            assert requested.withdrawn
            heard = listener.get_message(timeout=5)
            assert heard is not None
            assert heard["channel"] == b"/0.celeryev/task.revoked"
            event = json.loads(base64.b64decode(json.loads(heard["data"])["body"]))
            assert (event["type"], event["uuid"]) == ("task-revoked", task_id)
        again = await house.operations.revoke(house.actor, ids[0])
        assert not again.withdrawn
    left = [json.loads(raw)["headers"]["id"] for raw in house.redis.lrange("mail\x06\x163", 0, -1)]
    assert left[::-1] == [
        task_id for task_id in ids if task_id not in (ids[0], ids[601], ids[1_202])
    ]
    assert house.waiting("mail") == 2


async def test_a_signal_has_to_be_one_of_those_that_end_a_task(house: House) -> None:
    house.keep(task())
    for wrong in ("SIGSTOP", "9", "", "SIGTERM; rm"):
        with pytest.raises(BadInput) as refusal:
            await house.operations.revoke(house.actor, "t", terminate=True, signal=wrong)
        assert refusal.value.errors[0].loc == ("query", "signal")
    assert all(hasattr(signal, name) for name in SIGNALS)
    asked = await house.operations.revoke(house.actor, "t", terminate=True, signal="kill")
    assert asked.signal == "SIGKILL"


async def test_a_running_task_is_ended_by_its_worker(house: House, worker: Start) -> None:
    worker(name="w1")
    long = Submission(name="worker.tasks.long_task", args="[600]")
    (task_id,) = (await house.operations.submit(house.actor, long)).task_ids
    result = f"celery-task-meta-{task_id}"

    def status() -> str | None:
        found = house.redis.get(result)
        return str(json.loads(found)["status"]) if found else None

    async def running() -> bool:
        return status() in ("STARTED", "PROGRESS")

    async def revoked() -> bool:
        return status() == "REVOKED"

    await eventually_async(running)
    requested = await house.operations.revoke(house.actor, task_id, terminate=True)
    assert requested.heard == 1
    await eventually_async(revoked)
    (entry,) = audit.entries(house.db, task_id)
    assert (entry.actor, entry.action, entry.outcome) == ("anyone", "terminate", "done")
    assert json.loads(entry.detail) == {"terminate": True, "signal": "SIGTERM"}


async def test_what_could_not_be_done_is_written_down_too(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.keep(task())

    async def unavailable(*_: object, **__: object) -> None:
        raise BrokerUnavailable("Redis does not answer.")

    monkeypatch.setattr("app.operations.operations.send_revoke", unavailable)
    with pytest.raises(BrokerUnavailable):
        await house.operations.revoke(house.actor, "t")
    (entry,) = audit.entries(house.db, "t")
    assert entry.outcome == "refused: Redis does not answer."
    assert entry.outcome_at is not None


async def test_who_has_no_name_may_do_nothing(house: House) -> None:
    house.keep(task())
    with pytest.raises(Refused):
        await house.operations.revoke(Actor(""), "t")
    assert audit.entries(house.db) == []


async def test_a_retry_is_a_new_task_with_the_same_arguments(house: House) -> None:
    house.keep(task(state=TaskState.FAILURE, args='[1, "a"]', kwargs='{"b": 2}', queue="mail"))
    (new_id,) = (await house.operations.retry(house.actor, "t")).task_ids
    headers, body = sent(house, "mail")
    assert headers["id"] == new_id != "t"
    assert headers["task"] == "mail.send"
    assert body[:2] == [[1, "a"], {"b": 2}]
    (entry,) = audit.entries(house.db, "t")
    assert (entry.action, entry.outcome) == ("retry", "done")


async def test_a_retry_can_be_given_other_arguments_and_another_queue(house: House) -> None:
    house.keep(task(args=None, kwargs=None, args_repr="(1, ...)", queue="mail"))
    changes = Changes(args="[5]", kwargs="{}", queue="slow", priority=9)
    await house.operations.retry(house.actor, "t", changes)
    _, body = sent(house, "slow\x06\x169")
    assert body[:2] == [[5], {}]


async def test_a_shortened_text_is_not_run_again(house: House) -> None:
    house.keep(task(args=None, args_repr="(1, ...)"))
    with pytest.raises(Conflict, match="give args"):
        await house.operations.retry(house.actor, "t")
    assert house.waiting() == 0


async def test_arguments_too_large_for_an_event_are_found_where_they_were_written(
    house: House,
) -> None:
    numbers = json.dumps([[0.5] * INLINE_ARGUMENTS])
    large = Submission(name="worker.tasks.process_data", args=numbers)
    (task_id,) = (await house.operations.submit(house.actor, large)).task_ids
    house.keep(task(task_id, name=large.name, args=None, kwargs=None))
    await house.operations.retry(house.actor, task_id)
    assert sent(house)[1][0] == json.loads(numbers)
