"""A stored result: the true value, exactly, or what can be said of it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.broker import texts
from app.broker.results import RESULT_LIMIT
from app.domain.events import ResultStored
from tests.broker.messages import HEARD_AT, heard, result


def stored(**document: object) -> ResultStored:
    found = result(**document)
    assert not found.reasons
    (event,) = found.events
    assert isinstance(event, ResultStored)
    return event


def stored_raw(payload: bytes) -> ResultStored:
    (event,) = heard(payload, "celery-task-meta-t1").events
    assert isinstance(event, ResultStored)
    return event


def test_a_value_is_kept_as_the_text_that_it_came_as() -> None:
    exact = '{"b": 12345678901234567890123, "a": [1.10, null, "\\u00e9"]}'
    event = stored_raw(b'{"status": "SUCCESS", "result": %s}' % exact.encode())
    assert event.result == exact
    assert event.task_id == "t1"


def test_none_is_a_value() -> None:
    assert stored(result=None).result == "null"


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ("2026-11-22T18:00:00.500000+00:00", 1_795_370_400.5),
        ("2026-11-22T18:00:00.500000", 1_795_370_400.5),
        ("2026-11-23T03:00:00+09:00", 1_795_370_400.0),
        (1_795_370_400.25, 1_795_370_400.25),
        (None, HEARD_AT),
        ("last week", HEARD_AT),
        ("9999-12-31T23:59:59", HEARD_AT),
    ],
)
def test_the_time_is_when_it_was_done(given: object, at: float) -> None:
    assert stored(result=1, date_done=given).at == at


def test_an_exception_reads_as_python_shows_it() -> None:
    def raised(message: object) -> str | None:
        document = {"exc_type": "ValueError", "exc_message": message, "exc_module": "builtins"}
        return stored(status="FAILURE", result=document, traceback="T").exception

    assert raised(["no"]) == "ValueError('no')"
    assert raised("no") == "ValueError('no')"
    assert raised([1, {"a": "b"}]) == "ValueError(1, {'a': 'b'})"
    assert raised([]) == "ValueError()"
    assert raised(None) == "ValueError()"
    assert stored(status="FAILURE", result="odd").exception == '"odd"'
    assert stored(status="REVOKED", result={"exc_type": "TaskRevokedError"}).exception == (
        "TaskRevokedError()"
    )


def test_an_exception_is_no_result() -> None:
    event = stored(status="FAILURE", result={"exc_type": "E", "exc_message": []})
    assert event.result is None


def test_progress_is_read_from_the_meta() -> None:
    event = stored(status="PROGRESS", result={"current": 3, "total": 10, "message": "x", "more": 1})
    assert (event.current, event.total, event.message) == (3.0, 10.0, "x")
    assert (event.status, event.result) == ("PROGRESS", None)
    odd = stored(status="UPLOADING", result={"current": "3", "total": None, "message": 5})
    assert (odd.status, odd.current, odd.total, odd.message) == ("UPLOADING", None, None, "5")
    assert stored(status="CUSTOM", result="half way").message == "half way"


def test_started_names_its_worker() -> None:
    assert stored(status="STARTED", result={"pid": 1, "hostname": "w1@vm"}).worker == "w1@vm"


def test_an_extended_result_tells_who_the_task_is() -> None:
    event = stored(
        result=1,
        name="mail.send",
        args=[1, "a"],
        kwargs={"b": None},
        worker="w1@vm",
        queue="mail",
        retries=2,
        parent_id="p1",
        group_id="g1",
        children=[],
    )
    assert (event.name, event.args, event.kwargs) == ("mail.send", '[1, "a"]', '{"b": null}')
    assert (event.worker, event.queue, event.retries) == ("w1@vm", "mail", 2)
    assert (event.parent_id, event.group_id) == ("p1", "g1")
    assert stored(result=1, parent_id="t1").parent_id is None


def test_arguments_that_are_reprs_stay_reprs() -> None:
    event = stored(result=1, args="(1, 2)", kwargs="{'a': <object>}")
    assert (event.args, event.kwargs) == (None, None)
    assert (event.args_repr, event.kwargs_repr) == ("(1, 2)", "{'a': <object>}")


def test_nan_is_no_json_so_its_repr_stands_for_it() -> None:
    event = stored_raw(b'{"status": "SUCCESS", "result": [1.0, NaN]}')
    assert (event.result, event.result_repr) == (None, "[1.0, nan]")


def test_a_lone_surrogate_does_not_survive() -> None:
    event = stored_raw(b'{"status": "SUCCESS", "result": "a\\ud800b"}')
    assert event.result == '"a�b"'


def test_a_large_value_is_stood_for_by_its_beginning() -> None:
    event = stored(result="x" * texts.VALUE_LIMIT)
    assert event.result is None
    assert event.result_repr
    assert event.result_repr.startswith('"xxx')
    assert len(event.result_repr) == texts.REPR_LIMIT


def test_of_a_huge_document_the_state_is_known() -> None:
    event = stored_raw(b'{"status": "SUCCESS", "result": "%s"}' % (b"x" * RESULT_LIMIT))
    assert (event.status, event.result) == ("SUCCESS", None)
    assert event.result_repr == "8,388,643 bytes of JSON"
    found = heard(b"x" * (RESULT_LIMIT + 1), "celery-task-meta-t1")
    assert found.reasons == {"too large": 1}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "result serializer"),
        (b"\x80\x04}", "result serializer"),
        (b"- yaml", "result serializer"),
        (b"[1]", "result serializer"),
        (b"{", "not JSON"),
        (b"{}", "status missing"),
        (b'{"status": 5}', "status of a wrong type"),
        (b'{"status": ""}', "status missing or too long"),
        (b'{"status": "%s"}' % (b"S" * 65), "status missing or too long"),
    ],
)
def test_what_is_no_result_is_counted(payload: bytes, reason: str) -> None:
    found = heard(payload, "celery-task-meta-t1")
    assert (found.events, dict(found.reasons)) == ([], {reason: 1})


def test_an_id_that_is_none_is_counted() -> None:
    for task_id in ("", "x" * 256, "a\nb"):
        assert heard(b'{"status": "SUCCESS"}', f"celery-task-meta-{task_id}").malformed == 1


def test_times_in_other_zones_are_the_same_moment() -> None:
    moment = datetime(2026, 11, 22, 18, tzinfo=UTC)
    tokyo = moment.astimezone(timezone(timedelta(hours=9)))
    assert stored(result=1, date_done=tokyo.isoformat()).at == moment.timestamp()
