"""Programs that send tasks: they end at once, they fork, and their events are there."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import ImproperlyConfigured

import umbel_worker
from tests.plugin.support import (
    HERE,
    assert_whole,
    environment,
    events,
    freeze,
    numbers,
)
from tests.stock.install import INSTALLED, PINS, python
from tests.support import Process, RedisServer, eventually


def run(code: str, url: str, version: str = INSTALLED) -> None:
    interpreter = python(version)
    assert interpreter
    done = subprocess.run(
        [interpreter, "-c", code],
        cwd=HERE,
        env=environment(url),
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("version", [INSTALLED, *sorted(PINS)])
def test_a_program_that_sends_and_ends_has_told(version: str, redis_url: str) -> None:
    code = "from plugin_app import add; [add.apply_async((n,), priority=n) for n in range(5)]"
    run(code, redis_url, version)
    sent = events(redis_url, "task-sent")
    assert [event["priority"] for event in sent] == [0, 1, 2, 3, 4]
    assert {event["queue"] for event in sent} == {"celery"}
    assert sent[0]["hostname"].startswith("gen")
    assert_whole(redis_url)


GROUP = """
from celery import chord, group
from plugin_app import add, total
result = chord(group(add.s(1), add.s(2)), total.s()).apply_async()
print(result.id, result.parent.id)
"""


def test_members_of_a_chord_tell_what_waits_for_them(redis_url: str) -> None:
    run(GROUP, redis_url)
    first, second = events(redis_url, "task-sent")
    assert first["chord"] == second["chord"]
    assert first["group"] == second["group"]
    assert [first["group_index"], second["group_index"]] == [0, 1]


GREEN = "from gevent import monkey; monkey.patch_all()\n"
THREADS = """
import threading
from plugin_app import add
threads = [threading.Thread(target=lambda: [add.delay(1) for _ in range(20)]) for _ in range(4)]
[each.start() for each in threads]
[each.join() for each in threads]
"""


@pytest.mark.parametrize("patch", ["", GREEN], ids=["threads", "gevent"])
def test_threads_and_greenlets_send_at_once(patch: str, redis_url: str) -> None:
    run(patch + THREADS, redis_url)
    sent = events(redis_url, "task-sent")
    assert len({event["uuid"] for event in sent}) == len(sent) == 80
    assert {event["queue"] for event in sent} == {"celery"}
    assert_whole(redis_url)


FORK = """
import os, sys
from plugin_app import add, app

app.amqp  # both have it from before
add.delay(1)
child = os.fork()
add.delay(2)
if child:
    status = os.waitpid(child, 0)[1]
    sys.exit(status)
"""


def test_a_child_announces_its_own_events_and_no_others(redis_url: str) -> None:
    run(FORK, redis_url)
    found = numbers(redis_url)
    assert sorted(found.values()) == [[1], [1, 2]]
    assert len({event["uuid"] for event in events(redis_url, "task-sent")}) == 3


def test_a_program_ends_although_redis_stands_still(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis").start()
    code = """
import sys
from pathlib import Path
from plugin_app import app
with app.events.default_dispatcher() as dispatcher:
    dispatcher.send("worker-first")
    assert dispatcher.post.flush(10)
    Path(sys.argv[1], "ready").touch()
    while not Path(sys.argv[1], "go").exists():
        pass
    dispatcher.send("worker-last")
"""
    env = environment(server.url)
    command = [sys.executable, "-c", code, str(tmp_path)]
    program = Process(command, tmp_path / "log", env=env, cwd=HERE).start()
    try:
        eventually((tmp_path / "ready").exists)
        assert server.process is not None
        freeze(server.process)
        (tmp_path / "go").touch()
        eventually(lambda: not program.running())
        assert program.stop() == 0, program.output()
    finally:
        program.kill_group()
        server.stop()


def test_an_application_may_say_no_to_events() -> None:
    app = Celery("no", broker="memory://", set_as_current=False)
    app.conf.task_send_sent_event = False
    umbel_worker.install(app)
    assert app.conf.task_send_sent_event is False
    assert app.conf.worker_send_task_events is True


@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_a_bad_number_of_bytes_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMBEL_EVENTS_BYTES", text)
    with pytest.raises(ImproperlyConfigured, match="UMBEL_EVENTS_BYTES is"):
        umbel_worker.install(Celery("bad", set_as_current=False))


def test_what_waits_on_another_address_is_taken_from_the_environment(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = RedisServer(tmp_path / "own").start()
    try:
        monkeypatch.setenv("UMBEL_REDIS_URL", own.url)
        app = Celery("env", broker=redis_url, set_as_current=False)
        umbel_worker.install(app)
        with app.events.default_dispatcher() as dispatcher:
            found: Any = dispatcher
            found.send("worker-here")
            assert found.post.flush(10)
        assert len(events(own.url)) == 1
        assert events(redis_url) == []
    finally:
        own.stop()
