"""What judges the trials finds what is wrong: a checker that never complains proves nothing."""

import asyncio
import socket
import time

import pytest

from tests.chaos.background import Background
from tests.chaos.load import Sent
from tests.chaos.proxy import Proxy
from tests.chaos.shown import mistake, unknowable
from tests.chaos.sse import Frame, Parser
from tests.chaos.subscribers import Judgement, Tape, judge, order
from tests.chaos.truth import Fact, Runs
from tests.chaos.verdict import wrong_runs

FEED = {"1-0": "task", "2-0": "task", "2-1": "worker", "3-0": "task"}
TASK = '{"id": "t", "state": "SUCCESS"}'


def judged(*frames: Frame, state: str = "SUCCESS") -> Judgement:
    return judge(Tape("reader", list(frames)), FEED, {"t": {"state": state}}, order("3-0"))


def heard(*ids: str) -> list[Frame]:
    return [Frame("0-1", "heartbeat", "{}"), *(Frame(each, FEED[each], TASK) for each in ids)]


def test_a_reader_that_has_all_of_the_feed_is_well() -> None:
    found = judged(*heard("1-0", "2-0", "2-1", "3-0"))
    assert (found.missed, found.doubled, found.disordered, found.stale) == ([], [], [], [])


def test_a_missing_change_is_found_also_the_last_one() -> None:
    assert judged(*heard("1-0", "2-1", "3-0")).missed == ["2-0"]
    assert judged(*heard("1-0", "2-0", "2-1")).missed == ["3-0"]


def test_a_change_behind_a_heartbeat_of_its_id_is_missed() -> None:
    frames = [*heard("1-0"), Frame("2-0", "heartbeat", "{}"), Frame("2-1", "worker", "{}")]
    assert judged(*frames, Frame("3-0", "task", TASK)).missed == ["2-0"]


def test_a_doubled_change_and_a_wrong_order_are_found() -> None:
    assert judged(*heard("1-0", "2-0", "2-0", "2-1", "3-0")).doubled == ["2-0"]
    assert judged(*heard("1-0", "2-1", "2-0", "3-0")).disordered == ["2-0"]


def test_a_reset_excuses_what_it_jumps_over_and_nothing_else() -> None:
    reset = Frame("2-1", "reset", "{}")
    assert judged(*heard("1-0"), reset, Frame("3-0", "task", TASK)).missed == []
    assert judged(*heard("1-0"), reset).missed == ["3-0"]


def test_a_stream_that_ends_in_another_state_than_rest_is_stale() -> None:
    assert judged(*heard("1-0", "2-0", "2-1", "3-0"), state="FAILURE").stale == ["t"]


def test_a_frame_that_was_cut_short_is_not_given_out() -> None:
    parser = Parser()
    assert parser.feed(b"retry: 1500\n\nid: 1-0\nevent: task\nda") == []
    assert parser.feed(b"ta: {}\n\nid: 2") == [Frame("1-0", "task", "{}")]


@pytest.mark.parametrize("text", [b"id 1\n\n", b"id: 1\nid: 2\n\n", b"ta: {}\n\n"])
def test_what_is_no_event_stream_is_not_taken_for_one(text: bytes) -> None:
    with pytest.raises(ValueError, match="event stream"):
        Parser().feed(text)


def fact(*states: str, final: bool = True, told: bool = True, absent: bool = False) -> Fact:
    return Fact(frozenset(states), final, "test", told=told, absent=absent)


def shown(state: str, result: object = 4) -> dict[str, object]:
    return {"state": state, "result": result, "result_repr": None}


SENT = Sent("t", "quick", 2, "rest", 0.0, accepted=True)


def test_another_state_another_result_and_silence_are_mistakes() -> None:
    assert mistake(SENT, fact("SUCCESS"), shown("SUCCESS")) == ""
    assert mistake(SENT, fact("SUCCESS"), shown("FAILURE"))
    assert mistake(SENT, fact("SUCCESS"), shown("SUCCESS", result=5))
    assert mistake(SENT, fact("SUCCESS"), None)
    assert mistake(SENT, fact("LOST"), shown("STARTED"))


def test_a_refused_task_must_not_be_shown() -> None:
    assert mistake(SENT, fact(absent=True), None) == ""
    assert mistake(SENT, fact(absent=True), shown("LOST"))


def test_lost_is_honest_only_where_nothing_can_tell() -> None:
    assert mistake(SENT, fact("SUCCESS"), shown("LOST"))
    assert mistake(SENT, fact("SUCCESS", told=False), shown("LOST")) == ""
    assert mistake(SENT, fact("SUCCESS", told=False), shown("STARTED"))
    assert unknowable(fact("SUCCESS", told=False), shown("LOST"))


def run(what: str, at: float = 10.0, attempt: int = 0) -> dict[str, object]:
    return {"what": what, "at": at, "attempt": attempt, "pid": 0, "again": False}


def test_runs_of_refused_and_revoked_tasks_and_second_runs_are_found() -> None:
    runs = {"t": Runs([run("start"), run("done")])}
    refused = Sent("t", "quick", 2, "rest", 0.0, accepted=False)
    revoked = Sent("t", "revoked", 2, "rest", 0.0, accepted=True, revoked_at=8.0)
    too_late = Sent("t", "revoked", 2, "rest", 0.0, accepted=True, revoked_at=9.9)
    assert wrong_runs([SENT, too_late], runs, False) == []
    assert wrong_runs([refused], runs, True)
    assert wrong_runs([revoked], runs, True)


def test_a_second_run_needs_a_second_attempt_or_a_redelivery() -> None:
    again = {"t": Runs([run("start"), run("start")])}
    retried = {"t": Runs([run("start"), run("start", attempt=1)])}
    assert wrong_runs([SENT], again, redelivers=False)
    assert wrong_runs([SENT], again, redelivers=True) == []
    assert wrong_runs([SENT], retried, redelivers=False) == []


def test_the_proxy_passes_on_cuts_freezes_and_mends() -> None:
    background = Background()
    target = background.call(asyncio.start_server(_echo, "127.0.0.1", 0))
    proxy = Proxy(background, target.sockets[0].getsockname()[1])
    try:
        with socket.create_connection(("127.0.0.1", proxy.port), 5) as plug:
            plug.sendall(b"one")
            assert plug.recv(10) == b"one"
            proxy.freeze()
            time.sleep(0.1)  # what comes after it is held back
            plug.sendall(b"two")
            plug.settimeout(0.3)
            with pytest.raises(TimeoutError):
                plug.recv(10)
            proxy.mend()
            plug.settimeout(5)
            assert plug.recv(10) == b"two"
            proxy.cut()
            with pytest.raises(ConnectionResetError):
                plug.recv(10)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port), 5)
        proxy.mend()
        with socket.create_connection(("127.0.0.1", proxy.port), 5) as plug:
            plug.sendall(b"three")
            assert plug.recv(10) == b"three"
    finally:
        proxy.close()
        target.close()
        background.stop()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(100):
            writer.write(data)
    except ConnectionError:
        pass  # cut, as it should be
    finally:
        writer.close()
