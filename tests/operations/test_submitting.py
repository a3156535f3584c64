"""Submitting: what is sent, what is refused, and that a refusal sends nothing."""

import asyncio
import json
import time

import pytest

from app.broker.message import Submission
from app.domain.errors import BadInput, Conflict, FieldError, UnknownTaskName
from app.domain.workers import Worker, WorkerState
from app.operations import catalog as catalog_module
from app.operations.catalog import merge
from app.store import audit
from tests.operations.conftest import House

MAIL_SCHEMA = {
    "type": "object",
    "properties": {"to": {"type": "string"}, "copies": {"type": "integer", "maximum": 9}},
    "required": ["to"],
    "additionalProperties": False,
    "x-positional": ["to", "copies"],
}
MAIL = json.dumps({"doc": "Send a mail.", "schema": MAIL_SCHEMA})
ADD = Submission(name="worker.tasks.add", args="[2, 3]")


def mailer(name: str = "w1", state: WorkerState = WorkerState.ONLINE, **more: str) -> Worker:
    entries = (("mail.send", more.get("document", MAIL)), ("mail.count", None))
    return Worker(name=name, state=state, catalog=entries)


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_module, "CATALOG_AGE", 0.0)


def errors_of(refusal: pytest.ExceptionInfo[BadInput]) -> tuple[FieldError, ...]:
    return refusal.value.errors


async def test_the_samples_can_be_submitted_before_any_worker_was_heard_of(house: House) -> None:
    published = await house.operations.submit(house.actor, ADD)
    assert len(published.task_ids) == 1
    assert house.waiting() == 1


async def test_a_registered_task_can_be_submitted_and_only_with_arguments_that_fit(
    house: House,
) -> None:
    house.employ(mailer())
    await house.operations.submit(house.actor, Submission(name="mail.send", args='["a"]'))
    # A stock worker tells names alone; then any arguments may be right.
    await house.operations.submit(house.actor, Submission(name="mail.count", args="[1, 2, 3]"))
    assert house.waiting() == 2
    with pytest.raises(BadInput) as refusal:
        await house.operations.submit(house.actor, Submission(name="mail.send", args="[1]"))
    assert errors_of(refusal)[0].loc == ("body", "args", 0)
    with pytest.raises(BadInput) as refusal:
        await house.operations.submit(
            house.actor, Submission(name="mail.send", kwargs='{"to": "a", "copies": 10}')
        )
    assert errors_of(refusal)[0].loc == ("body", "kwargs", "copies")
    assert "9" in errors_of(refusal)[0].msg
    assert house.waiting() == 2


async def test_an_unknown_name_is_refused_with_names_that_are_nearly_it(house: House) -> None:
    with pytest.raises(UnknownTaskName, match="no worker is online"):
        await house.operations.submit(house.actor, Submission(name="mail.sent"))
    house.employ(mailer(), mailer("gone", WorkerState.LOST))
    with pytest.raises(UnknownTaskName, match=r"mail\.send"):
        await house.operations.submit(house.actor, Submission(name="mail.sent"))
    with pytest.raises(UnknownTaskName, match=r"mail\.send"):
        await house.operations.submit(house.actor, Submission(name="send"))
    house.employ(mailer(state=WorkerState.OFFLINE))
    with pytest.raises(UnknownTaskName):
        await house.operations.submit(house.actor, Submission(name="mail.send", args='["a"]'))
    assert house.waiting() == 0


def test_while_two_versions_run_either_ones_arguments_fit() -> None:
    newer = json.dumps({"doc": "", "schema": {**MAIL_SCHEMA, "x-positional": []}})
    found = merge([mailer("w1"), mailer("w2"), mailer("w3", document=newer)])
    entry = found.find("mail.send")
    assert len(entry.schemas) == 2
    assert entry.workers == ("w1", "w2", "w3")
    assert found.find("mail.count").schemas == ()


@pytest.mark.parametrize("document", ["no JSON", "[]", "null", '{"doc": 1, "schema": 2}'])
def test_a_malformed_catalog_is_a_name_without_a_schema(document: str) -> None:
    entry = merge([mailer(document=document)]).find("mail.send")
    assert (entry.doc, entry.schemas) == (None, ())


async def test_a_batch_is_sent_whole_or_not_at_all(house: House) -> None:
    wrong = Submission(name="worker.tasks.add", args='["2", 3]')
    with pytest.raises(BadInput) as refusal:
        await house.operations.submit_batch(house.actor, [ADD, wrong, ADD, wrong])
    assert [error.loc for error in errors_of(refusal)] == [
        ("body", "tasks", 1, "args", 0),
        ("body", "tasks", 3, "args", 0),
    ]
    assert house.waiting() == 0
    published = await house.operations.submit_batch(house.actor, [ADD] * 300)
    assert house.waiting() == len(published.task_ids) == 300
    (entry,) = audit.entries(house.db)
    assert (entry.action, entry.outcome, json.loads(entry.detail)) == (
        "submit batch",
        "done",
        {"tasks": 300},
    )


@pytest.mark.parametrize(
    ("field", "submission"),
    [
        ("queue", Submission(name="worker.tasks.add", args="[1, 2]", queue="a\nb")),
        ("queue", Submission(name="worker.tasks.add", args="[1, 2]", queue="q" * 256)),
        ("queue", Submission(name="worker.tasks.add", args="[1, 2]", queue="")),
        ("task_id", Submission(name="worker.tasks.add", args="[1, 2]", task_id="a\x00")),
        ("eta", Submission(name="worker.tasks.add", args="[1, 2]", eta=1.0, countdown=1.0)),
        ("countdown", Submission(name="worker.tasks.add", args="[1, 2]", countdown=-1.0)),
        ("expires", Submission(name="worker.tasks.add", args="[1, 2]", expires=1.0)),
        ("priority", Submission(name="worker.tasks.add", args="[1, 2]", priority=256)),
        ("priority", Submission(name="worker.tasks.add", args="[1, 2]", priority=-1)),
        ("max_retries", Submission(name="worker.tasks.add", args="[1, 2]", max_retries=-1)),
    ],
)
async def test_an_option_that_is_not_allowed_is_named(
    field: str, submission: Submission, house: House
) -> None:
    with pytest.raises(BadInput) as refusal:
        await house.operations.submit(house.actor, submission)
    assert errors_of(refusal)[0].loc == ("body", field)
    assert house.waiting() == 0


async def test_a_queue_nobody_has_heard_of_is_allowed(house: House) -> None:
    later = Submission(name=ADD.name, args=ADD.args, queue="tomorrow", eta=time.time() + 9)
    await house.operations.submit(house.actor, later)
    assert house.waiting("tomorrow") == 1


async def test_the_same_key_and_request_give_the_same_answer(house: House) -> None:
    answers = await asyncio.gather(
        *(house.operations.submit(house.actor, ADD, "key") for _ in range(50))
    )
    assert len({answer.task_ids for answer in answers}) == 1
    assert house.waiting() == 1
    other = Submission(name="worker.tasks.add", args="[2, 4]")
    with pytest.raises(Conflict):
        await house.operations.submit(house.actor, other, "key")
    # "In five seconds" is another moment each time, and the same request all the same.
    first = await house.operations.submit(
        house.actor, Submission(name=ADD.name, args=ADD.args, eta=time.time() + 5), "later"
    )
    again = await house.operations.submit(
        house.actor, Submission(name=ADD.name, args=ADD.args, eta=time.time() + 6), "later"
    )
    assert first.task_ids == again.task_ids


async def test_an_id_that_is_taken_is_a_conflict(house: House) -> None:
    mine = Submission(name=ADD.name, args=ADD.args, task_id="mine")
    assert (await house.operations.submit(house.actor, mine)).task_ids == ("mine",)
    with pytest.raises(Conflict, match="'mine'"):
        await house.operations.submit(house.actor, mine)
    other = Submission(name=ADD.name, args=ADD.args, task_id="other")
    with pytest.raises(Conflict, match="same id"):
        await house.operations.submit_batch(house.actor, [other, other])
    assert house.waiting() == 1
