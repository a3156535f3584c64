"""What is believed of a worker after its heartbeats, goodbyes and silences."""

from dataclasses import replace

from app.domain.events import WorkerHeartbeat, WorkerLost, WorkerOffline, WorkerReported
from app.domain.reduce_worker import reduce_worker
from app.domain.workers import Worker, WorkerState

NAME = "celery@w1"


def beat(at: float, pid: int = 7, online: bool = False, active: int = 1) -> WorkerHeartbeat:
    return WorkerHeartbeat(
        worker=NAME, at=at, heard_at=at + 0.5, pid=pid, online=online, active=active, processed=9
    )


def report(at: float) -> WorkerReported:
    return WorkerReported(
        worker=NAME, at=at, heard_at=at, pool="prefork", concurrency=4, queues=("celery",)
    )


def test_the_first_heartbeat_makes_an_online_worker() -> None:
    worker = reduce_worker(None, beat(10))

    assert (worker.name, worker.state, worker.since) == (NAME, WorkerState.ONLINE, 10)
    assert (worker.active, worker.processed, worker.skew) == (1, 9, -0.5)


def test_what_it_reported_stays_over_heartbeats() -> None:
    worker = reduce_worker(reduce_worker(reduce_worker(None, beat(10)), report(11)), beat(12))

    assert (worker.pool, worker.concurrency, worker.queues) == ("prefork", 4, ("celery",))
    assert worker.heard_at == 12.5


def test_a_goodbye_makes_it_offline_and_what_it_ran_unknown() -> None:
    worker = reduce_worker(
        reduce_worker(None, beat(10)), WorkerOffline(worker=NAME, at=20, heard_at=20)
    )

    assert (worker.state, worker.since, worker.active) == (WorkerState.OFFLINE, 20, None)


def test_a_late_heartbeat_does_not_wake_a_worker_that_said_goodbye() -> None:
    gone = reduce_worker(
        reduce_worker(None, beat(10)), WorkerOffline(worker=NAME, at=20, heard_at=20)
    )

    assert reduce_worker(gone, beat(19.9)).state is WorkerState.OFFLINE


def test_a_restart_begins_anew_and_keeps_only_what_tasks_it_had() -> None:
    known = reduce_worker(reduce_worker(None, beat(10)), report(11))
    worker = reduce_worker(known, beat(30, pid=8, online=True))

    assert (worker.state, worker.since, worker.pid) == (WorkerState.ONLINE, 30, 8)
    assert worker.concurrency is None


def test_a_lost_worker_comes_back_with_its_next_word() -> None:
    lost = reduce_worker(reduce_worker(None, beat(10)), WorkerLost(worker=NAME, at=20, heard_at=20))

    assert (lost.state, lost.heard_at) == (WorkerState.LOST, 10.5)
    assert reduce_worker(lost, beat(25)).state is WorkerState.ONLINE
    assert reduce_worker(lost, report(25)).state is WorkerState.ONLINE


def test_a_report_alone_makes_a_worker() -> None:
    assert reduce_worker(None, report(5)) == Worker(
        name=NAME, since=5, heard_at=5, pool="prefork", concurrency=4, queues=("celery",)
    )


def test_a_process_keeps_its_beginning_however_often_it_says_its_age() -> None:
    first = reduce_worker(None, replace(report(100.0), started_at=40.2))
    again = reduce_worker(first, replace(report(160.0), started_at=41.0))
    mute = reduce_worker(again, report(220.0))
    another = reduce_worker(mute, replace(report(300.0), started_at=290.0))

    assert [each.started_at for each in (first, again, mute, another)] == [40.2, 40.2, 40.2, 290.0]
