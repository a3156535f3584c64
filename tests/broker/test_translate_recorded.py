"""Events recorded from real workers, of each Celery version and pool."""

import pytest

from app.broker.translate import translate
from app.domain.events import WorkerHeartbeat, WorkerOffline
from tests.broker.believing import Believed, check_scenario, loses_events
from tests.broker.messages import TRANSPORT
from tests.recorded import load, recordings, task_ids


@pytest.mark.parametrize("name", recordings())
def test_a_recorded_scenario_is_understood(name: str) -> None:
    found = translate(load(name), TRANSPORT)
    assert not found.reasons
    tasks = Believed()
    tasks.take(found.events)
    _, version, pool = name.split("-")
    lossy = loses_events(version, pool)
    check_scenario(tasks, task_ids(name), "celery", "stock@test", lossy=lossy)


@pytest.mark.parametrize("name", recordings())
def test_a_recorded_worker_comes_beats_and_goes(name: str) -> None:
    found = translate(load(name), TRANSPORT).events
    beats = [event for event in found if isinstance(event, WorkerHeartbeat)]
    assert [beat.worker for beat in beats] == ["stock@test"] * len(beats)
    assert beats[0].online
    assert beats[0].software
    assert beats[0].software.startswith(f"py-celery {name.split('-')[1]}.")
    assert (beats[-1].processed or 0) > 0
    assert any(isinstance(event, WorkerOffline) for event in found)


def test_there_is_a_recording_of_each_version_and_pool() -> None:
    versions = {name.split("-")[1] for name in recordings()}
    pools = {name.split("-")[2] for name in recordings()}
    assert versions == {"5.4", "5.5", "5.6", "5.7"}
    assert pools == {"prefork", "threads", "gevent", "solo"}
