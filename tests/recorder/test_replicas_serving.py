"""Several `umbel serve` on one Redis and one store, as people run them."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.http import web
from tests.recorder.replicas import is_locked
from tests.support import RedisServer, eventually, start_worker
from tests.web.conftest import Event, Site, listening

Start = Callable[[], Site]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis").start()
    yield server
    server.stop()


@pytest.fixture
def start(server: RedisServer, tmp_path: Path) -> Iterator[Start]:
    made: list[Site] = []

    def make() -> Site:
        made.append(Site(server, tmp_path).start())
        return made[-1]

    yield make
    for site in made:
        site.stop()


class Submitting:
    """Submits tasks through whichever site is there, until `end` says how many were taken in."""

    def __init__(self, sites: list[Site]) -> None:
        self.ids: list[str] = []
        self.sites = sites
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._submit)
        self._thread.start()

    def end(self) -> list[str]:
        self._ending.set()
        self._thread.join()
        return self.ids

    def _submit(self) -> None:
        while not self._ending.is_set():
            for site in self.sites:
                try:
                    answer = web.post(site.url + "/tasks/add", json={"x": 1, "y": 2}, timeout=5)
                except httpx.HTTPError:
                    continue
                if answer.status_code == 202:
                    self.ids.append(answer.json()["task_id"])
                    break
            time.sleep(0.02)


def recorder_of(site: Site) -> psutil.Process:
    assert site.process is not None
    children = psutil.Process(site.process.pid).children()
    return next(each for each in children if "record" in each.cmdline())


def ended(site: Site, task_id: str) -> None:
    task = web.get(f"{site.url}/tasks/{task_id}", params={"wait": 30}, timeout=40).json()
    assert task["state"] == "SUCCESS", task


def leads(site: Site) -> bool:
    """Its own recorder is the active one, and hears."""
    status = web.get(site.url + "/stats").json().get("recorder") or {}
    if not status.get("live"):
        return False
    return bool(str(status["recorder"]).endswith(f":{recorder_of(site).pid}"))


def ids_of(events: list[Event]) -> list[str]:
    """Of the changes; a heartbeat has the id of the last of them."""
    return [event.id for event in events if event.id and event.name != "heartbeat"]


def test_a_subscriber_goes_on_at_another_replica_exactly_once(
    server: RedisServer, start: Start, tmp_path: Path
) -> None:
    first, second = start(), start()
    eventually(first.ready)
    eventually(second.ready)
    worker = start_worker(server.url, tmp_path / "worker.log")
    with listening(second.url + "/events") as witness:
        witness.wait_for(lambda event: event.name == "heartbeat")
        submitting = Submitting([first, second])
        with listening(first.url + "/events") as before:
            eventually(lambda: len(ids_of(before.events)) > 20)
            assert first.process is not None
            first.process.signal(signal.SIGKILL)
            before.ended.wait(10)
        last = ids_of(before.events)[-1]
        with listening(second.url + "/events", {"Last-Event-ID": last}) as after:
            eventually(lambda: leads(second))
            eventually(lambda: len(ids_of(after.events)) > 40)
            ids = submitting.end()
            assert len(ids) > 20
            for task_id in ids:
                ended(second, task_id)
            eventually(lambda: _last_told(witness.events, ids) == {"SUCCESS"})
            newest = ids_of(witness.events)[-1]
            after.wait_for(lambda event: event.id == newest)
            got = before.events + after.events
    worker.stop()

    assert not [event for event in got if event.name == "reset"]
    seen, told = ids_of(got), ids_of(witness.events)
    assert seen[: seen.index(newest) + 1] == told[told.index(seen[0]) : told.index(newest) + 1]
    assert _last_told(got, ids) == {"SUCCESS"}


def _last_told(events: list[Event], ids: list[str]) -> set[str]:
    """The states in which these tasks were told of last."""
    last = {event.data["id"]: event.data["state"] for event in events if event.name == "task"}
    return {last[task_id] for task_id in ids if task_id in last}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_replicas_are_stopped_under_load_in_any_order(
    server: RedisServer, start: Start, tmp_path: Path, order: tuple[int, int]
) -> None:
    sites = [start(), start()]
    for site in sites:
        eventually(site.ready)
    worker = start_worker(server.url, tmp_path / "worker.log")
    submitting = Submitting(sites)
    eventually(lambda: len(submitting.ids) > 10)
    goes, stays = (sites[place] for place in order)
    with listening(goes.url + "/events") as stream:
        stream.wait_for(lambda event: event.name == "task")
        assert goes.stop() == 0
        assert stream.events[-1].name == "bye"
    eventually(lambda: leads(stays))
    taken = len(submitting.ids)
    eventually(lambda: len(submitting.ids) > taken + 10)
    ids = submitting.end()
    for task_id in ids:
        ended(stays, task_id)
    worker.stop()
    assert stays.stop() == 0
    for site in sites:
        assert site.process is not None
        assert "Traceback" not in site.process.output()
        assert "error" not in site.process.output()


def test_a_recorder_frozen_in_the_middle_of_writing_is_killed_and_another_takes_over(
    server: RedisServer, start: Start, tmp_path: Path
) -> None:
    sites = [start(), start()]
    for site in sites:
        eventually(site.ready)
    worker = start_worker(server.url, tmp_path / "worker.log")
    submitting = Submitting(sites)
    [active] = eventually(lambda: [site for site in sites if leads(site)])
    [other] = [site for site in sites if site is not active]
    frozen = recorder_of(active)
    _freeze_while_it_writes(frozen, tmp_path / "data" / "umbel.db")
    eventually(lambda: leads(other))
    ids = submitting.end()
    for task_id in ids:
        ended(other, task_id)
    worker.stop()

    assert active.process is not None
    assert "recorder has said nothing for 4 s; killing it" in active.process.output()
    assert not frozen.is_running()
    eventually(lambda: recorder_of(active))


def _freeze_while_it_writes(process: psutil.Process, path: Path) -> None:
    while True:
        process.suspend()
        eventually(lambda: process.status() == psutil.STATUS_STOPPED, every=0.001)
        if is_locked(path):
            return
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.01)
