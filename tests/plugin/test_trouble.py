"""Redis is slow, full or gone: nobody waits, what can be kept is kept, what is lost is counted."""

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.plugin.support import (
    application,
    assert_whole,
    entries,
    events,
    freeze,
    numbers,
    sending,
    start_plugin_worker,
    stock_monitor,
)
from tests.support import Process, RedisServer, eventually
from umbel_worker.outbox import MOST_CHARACTERS, MOST_EVENTS

OVER = 1_500


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of its own, that keeps its data over a restart."""
    found = RedisServer(tmp_path / "redis", durable=True).start()
    yield found
    found.stop()


def process_of(server: RedisServer) -> Process:
    assert server.process is not None
    return server.process


def announcing(url: str, **options: Any) -> Any:
    """A dispatcher that is connected, because its first event is in the stream."""
    app = application(url, **options)
    dispatcher: Any = app.events.Dispatcher(  # type: ignore[union-attr]
        app.connection_for_write(), hostname="w1@test", buffer_group=["task"]
    )
    dispatcher.send("task-first", uuid="0")
    assert dispatcher.post.flush(10)
    return dispatcher


def send(dispatcher: Any, count: int, text: str = "") -> None:
    for number in range(count):
        dispatcher.send("task-counted", uuid=str(number), text=text)


def test_while_redis_stands_still_nobody_waits_and_drops_are_counted(server: RedisServer) -> None:
    dispatcher = announcing(server.url)
    freeze(process_of(server))
    send(dispatcher, 1)
    # It comes to the end of these while the server stands still.
    send(dispatcher, MOST_EVENTS + OVER)
    process_of(server).signal(signal.SIGCONT)
    assert dispatcher.post.flush(30)

    last = entries(server.url)[-1]
    [found] = numbers(server.url).values()
    assert found == sorted(set(found))
    missing = MOST_EVENTS + OVER + 2 - len(found)
    assert OVER - 600 <= missing <= OVER  # a batch or two had left before
    assert last.dropped == missing
    assert found[-1] == MOST_EVENTS + OVER + 2


def test_large_events_are_bounded_by_their_size(server: RedisServer) -> None:
    dispatcher = announcing(server.url)
    freeze(process_of(server))
    send(dispatcher, 40, "x" * 1_000_000)
    process_of(server).signal(signal.SIGCONT)
    assert dispatcher.post.flush(30)
    kept = events(server.url, "task-counted")
    assert sum(len(event["text"]) for event in kept) <= MOST_CHARACTERS + 2_000_000
    assert entries(server.url)[-1].dropped == 40 - len(kept) > 0


def test_tasks_go_on_while_redis_stands_still(server: RedisServer, tmp_path: Path) -> None:
    worker = start_plugin_worker(server.url, tmp_path / "log")
    try:
        with sending(server.url) as app:
            sent = app.send_task("any.waits", (str(tmp_path), 200))
            eventually((tmp_path / "running").exists)
            freeze(process_of(server))
            (tmp_path / "go").touch()
            eventually((tmp_path / "done").exists)
            process_of(server).signal(signal.SIGCONT)
            sent.get(timeout=30)
        eventually(lambda: len(events(server.url, "task-step")) == 200)
        eventually(lambda: events(server.url, "task-succeeded"))
    finally:
        worker.stop()
    assert_whole(server.url)


def test_a_full_redis_gets_the_events_when_it_has_room(server: RedisServer) -> None:
    dispatcher = announcing(server.url)
    with redis.Redis.from_url(server.url) as client, stock_monitor(server.url) as heard:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        send(dispatcher, 700)
        eventually(lambda: len(heard) == 700)
        assert len(events(server.url)) == 1
        client.config_set("maxmemory", 0)
        assert dispatcher.post.flush(10)
        assert len(heard) == 700
    assert len(events(server.url)) == 701
    assert_whole(server.url)
    assert entries(server.url)[-1].dropped == 0


@pytest.fixture
def steadily() -> Iterator[Callable[[Any], Callable[[], int]]]:
    """Announces events in the background until it is asked how many."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def start(dispatcher: Any) -> Callable[[], int]:
        sent: list[int] = []

        def run() -> None:
            while not stop.wait(0.0005):
                dispatcher.send("task-counted", uuid=str(len(sent)))
                sent.append(1)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        eventually(lambda: len(sent) > 50)

        def count() -> int:
            stop.set()
            threads[-1].join()
            return len(sent)

        return count

    yield start
    stop.set()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_events_are_kept_over_a_restart_of_redis(
    how: int, server: RedisServer, steadily: Callable[[Any], Callable[[], int]]
) -> None:
    dispatcher = announcing(server.url)
    count = steadily(dispatcher)
    process = process_of(server)
    process.signal(how)
    assert process.child is not None
    process.child.wait(10)
    eventually(lambda: not dispatcher.post.flush(0.1))
    server.start()
    eventually(lambda: len(events(server.url)) > 100)
    total = count()
    assert dispatcher.post.flush(30)
    assert len(events(server.url, "task-counted")) == total
    assert_whole(server.url)


def test_a_lost_connection_writes_nothing_twice(
    server: RedisServer, steadily: Callable[[Any], Callable[[], int]]
) -> None:
    dispatcher = announcing(server.url)
    count = steadily(dispatcher)
    with redis.Redis.from_url(server.url) as client:
        for _ in range(30):
            before = client.xlen("umbel:events")
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            eventually(lambda before=before: client.xlen("umbel:events") > before)  # type: ignore[misc]
    total = count()
    assert dispatcher.post.flush(30)
    assert len(events(server.url, "task-counted")) == total
    assert_whole(server.url)


def test_a_server_that_was_only_slow_has_nothing_twice(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It did write what the plugin had given up waiting for."""
    monkeypatch.setattr("umbel_worker.links.ANSWER_WITHIN", 0.3)
    dispatcher = announcing(server.url)
    freeze(process_of(server))
    send(dispatcher, 100)
    eventually(lambda: dispatcher.post._senders[0]._lanes[0]._not_before > 0)
    process_of(server).signal(signal.SIGCONT)
    assert dispatcher.post.flush(30)
    assert len(events(server.url, "task-counted")) == 100
    assert_whole(server.url)


def test_a_stream_server_in_trouble_does_not_hold_up_the_monitors(
    server: RedisServer, redis_url: str
) -> None:
    dispatcher = announcing(redis_url, redis_url=server.url)
    freeze(process_of(server))
    with stock_monitor(redis_url) as heard:
        send(dispatcher, 2_000)
        eventually(lambda: len(heard) == 2_000)
    process_of(server).signal(signal.SIGCONT)
    assert dispatcher.post.flush(30)
    assert len(events(server.url)) == 2_001
    assert_whole(server.url)


def test_the_stream_stays_within_its_bytes(server: RedisServer) -> None:
    dispatcher = announcing(server.url, events_bytes=2_000_000)
    for _ in range(10):
        send(dispatcher, 1_000, "x" * 1_000)
        assert dispatcher.post.flush(30)
    with redis.Redis.from_url(server.url) as client:
        assert client.memory_usage("umbel:events") < 4_500_000
    [found] = numbers(server.url).values()
    assert found == list(range(found[0], 10_002))
    assert len(found) >= 1_000


def test_what_json_cannot_say_is_announced_all_the_same(redis_url: str) -> None:
    dispatcher = announcing(redis_url)
    circle: list[Any] = []
    circle.append(circle)
    dispatcher.send("task-odd", uuid="1", thing=object(), circle=circle, name="a")
    dispatcher.send("task-odd", uuid="2", text="x" * 2_000_000, result=3)
    assert dispatcher.post.flush()
    odd, long = events(redis_url, "task-odd")
    assert (odd["uuid"], odd["name"], odd["circle"]) == ("1", "a", "[[...]]")
    assert odd["thing"].startswith("<object object")
    assert (len(long["text"]), long["result"]) == (10_001, 3)
    assert_whole(redis_url)


def test_a_signal_handler_may_announce_while_it_interrupts_that(redis_url: str) -> None:
    dispatcher = announcing(redis_url)
    before = signal.signal(signal.SIGALRM, lambda *_: dispatcher.send("task-alarm", uuid="1"))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
        send(dispatcher, 3_000)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert dispatcher.post.flush(30)
    assert events(redis_url, "task-alarm")
    assert len(events(redis_url, "task-counted")) == 3_000
    assert_whole(redis_url)
