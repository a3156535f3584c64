"""The server as a process: stopping with open streams, limits, and parts that are away."""

import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.errors import CannotStart, TooMany
from app.web.listening import SEND_BUFFER, listen
from app.web.server import allow_connections
from app.web.streams import Streams
from tests.http import new_client, web
from tests.support import RedisServer, eventually
from tests.web.conftest import Site, listening, submit


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """A site of the test's own, which it may break."""
    server = RedisServer(tmp_path / "redis").start()
    found = Site(server, tmp_path).start()
    eventually(found.ready)
    yield found
    found.stop()
    assert server.process is not None
    server.process.signal(signal.SIGCONT)
    server.stop()


def test_the_server_stops_with_open_streams_and_says_goodbye(own: Site) -> None:
    with new_client(base_url=own.url) as client:
        task_id = submit(client, "/tasks/add", {"x": 1, "y": 1})
    assert own.process is not None
    with (
        listening(own.url + "/events") as stream,
        listening(f"{own.url}/tasks/{task_id}/events") as one,
    ):
        stream.wait_for(lambda event: event.name == "heartbeat")
        one.wait_for(lambda event: event.name == "task")
        status = own.stop()

        assert status == 0, own.process.output()
        assert stream.events[-1].name == "bye"
        assert one.events[-1].name == "bye"
    assert "Traceback" not in own.process.output()


def test_a_stream_resumes_across_a_restart(own: Site) -> None:
    with listening(own.url + "/events") as stream:
        first = stream.wait_for(lambda event: bool(event.id))
        own.stop()
    own.start()
    eventually(own.ready)
    with new_client(base_url=own.url) as client:
        task_id = submit(client, "/tasks/add", {"x": 1, "y": 1})
    assert first.id is not None
    with listening(own.url + "/events", {"Last-Event-ID": first.id}) as again:
        again.wait_for(lambda event: event.data.get("id") == task_id)

        assert not again.named("reset")


ADDITION = {"name": "worker.tasks.add", "args": [1, 1]}


@pytest.mark.parametrize("frozen", [True, False])
def test_a_submission_is_refused_in_time_while_redis_is_away(own: Site, frozen: bool) -> None:
    assert own.redis.process is not None
    with new_client(base_url=own.url, timeout=10) as client:
        submit(client, "/tasks/add", {"x": 1, "y": 1})
        own.redis.process.signal(signal.SIGSTOP if frozen else signal.SIGKILL)
        for path, body in (
            ("/tasks/add", {"x": 1, "y": 1}),
            ("/tasks", ADDITION | {"task_id": "my-own"}),
            ("/tasks/batch", {"tasks": [ADDITION] * 5_000}),
        ):
            begun = time.monotonic()
            answer = client.post(path, json=body)
            taken = time.monotonic() - begun

            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["content-type"] == "application/problem+json"
            assert not frozen or "nothing was sent" in answer.json()["detail"]
            assert taken < 2, "as promised, from the moment of the request"
    assert web.get(own.url + "/tasks").status_code == 200

    def not_ready() -> bool:
        told = web.get(own.url + "/readyz")
        return told.status_code == 503 and not told.json()["broker"]["ok"]

    eventually(not_ready)
    assert "broker" in web.get(own.url + "/readyz").json()["detail"]
    assert web.get(own.url + "/healthz").status_code == 200
    assert 'umbel_up{part="broker"} 0.0' in web.get(own.url + "/metrics").text


def test_a_port_in_use_is_said_in_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"Port {port} on 127.0.0.1 is in use"):
            listen("127.0.0.1", port)


def test_an_address_of_another_machine_is_said_in_one_sentence() -> None:
    for host in ("192.0.2.1", "no-such-host.invalid"):
        with pytest.raises(CannotStart, match="is not an address of this machine"):
            listen(host, 0)


def test_the_listening_socket_keeps_little_for_slow_readers() -> None:
    with listen("127.0.0.1", 0) as listener:
        # Linux doubles what it is asked for.
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * SEND_BUFFER


def test_as_many_connections_are_allowed_as_the_system_has() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 1024), most))
    allow_connections()

    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)


async def test_streams_are_counted_and_limited() -> None:
    streams = Streams(limit=2)
    with streams.counted(), streams.counted():
        assert streams.open == 2
        with pytest.raises(TooMany):
            streams.check()
    assert streams.open == 0
    streams.close()
    with pytest.raises(TooMany):
        streams.check()
