"""What the plugin publishes is, byte for byte but its header, what Celery's own dispatcher does."""

import json
import threading
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from celery import Celery

from tests.plugin.support import application, entries
from tests.support import PATIENCE, RedisServer
from umbel_worker.dispatcher import StreamDispatcher

Published = list[tuple[str, dict[str, Any]]]

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "exchange": {"event_exchange": "myev"},
    "no prefix": {"broker_transport_options": {"fanout_prefix": False}},
    "own prefix": {"broker_transport_options": {"fanout_prefix": "/pfx.{db}."}},
    "no patterns": {"broker_transport_options": {"fanout_patterns": False}},
    "keyprefix": {"broker_transport_options": {"global_keyprefix": "P:"}},
}


class Ear:
    """Hears all that is published on a server."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url, decode_responses=True)
        self._subscription: Any = self._client.pubsub()  # type: ignore[no-untyped-call]
        self._subscription.psubscribe("*")
        self._subscription.get_message(timeout=PATIENCE)

    def hear(self, count: int) -> Published:
        found: Published = []
        while len(found) < count:
            message = self._subscription.get_message(timeout=PATIENCE)
            assert message is not None, found
            found.append((message["channel"], json.loads(message["data"])))
        return found

    def close(self) -> None:
        self._subscription.close()
        self._client.close()


@pytest.fixture
def ear(redis_url: str) -> Iterator[Ear]:
    found = Ear(redis_url)
    yield found
    found.close()


def announce(app: Celery) -> Any:
    """A dispatcher as the worker makes it, after it has announced one event of each kind."""
    dispatcher: Any = app.events.Dispatcher(  # type: ignore[union-attr]
        app.connection_for_write(), hostname="w1@test", buffer_group=["task"]
    )
    dispatcher.send("worker-online", freq=2.0)
    dispatcher.send("task-received", uuid="1", name="a.b", args="('é',)")
    dispatcher.flush()
    dispatcher.publish("task-sent", {"uuid": "1", "queue": "q"}, dispatcher.producer)
    dispatcher.send("custom-my-thing", word="x")
    return dispatcher


def without_what_differs(published: Published) -> Published:
    for _, message in published:
        body = json.loads(b64decode(message["body"]))
        for event in body if isinstance(body, list) else [body]:
            for name in ("timestamp", "clock"):
                assert isinstance(event.pop(name), float | int)
        message["body"] = body
        assert len(message["properties"].pop("delivery_tag")) == 36
    return published


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("database", [0, 3])
def test_messages_are_those_of_the_stock_dispatcher(
    name: str, database: int, redis_url: str, ear: Ear
) -> None:
    url = redis_url.rpartition("/")[0] + f"/{database}"
    stock_app = Celery("stock", broker=url, set_as_current=False)
    stock_app.conf.update(CONFIGURATIONS[name])
    stock = announce(stock_app)
    expected = without_what_differs(ear.hear(4))
    stock.connection.close()

    ours = announce(application(url, CONFIGURATIONS[name]))
    assert isinstance(ours, StreamDispatcher)
    found = without_what_differs(ear.hear(4))
    marks = [message["headers"].pop("umbel") for _, message in found]
    assert marks == [1, 2, 3, 4]
    assert found == expected
    assert [list(message) for _, message in found] == [list(message) for _, message in expected]


def test_the_mark_is_near_the_end_of_a_message(redis_url: str, ear: Ear) -> None:
    announce(application(redis_url))
    for _, message in ear.hear(4):
        text = json.dumps(message)
        assert '"umbel": ' in text[-400:]


def test_an_entry_holds_the_inner_json_of_stock_events(redis_url: str) -> None:
    app = application(redis_url)
    dispatcher = announce(app)
    assert dispatcher.post.flush()
    found = entries(redis_url)
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        raw: Any = client.xrange("umbel:events")
    assert set(raw[0][1]) == {"p", "n", "e"}
    hostname, pid, made = found[0].producer.split("|")
    assert (hostname, pid) == ("w1@test", str(dispatcher.pid))
    assert len(bytes.fromhex(made)) == 4
    told = [event for entry in found for event in entry.events]
    assert [event["type"] for event in told] == [
        "worker-online",
        "task-received",
        "task-sent",
        "custom-my-thing",
    ]
    assert told[1]["args"] == "('é',)"
    assert set(told[1]) == {
        *("hostname", "utcoffset", "pid", "clock", "timestamp", "type"),
        *("uuid", "name", "args"),
    }


def test_the_stream_of_an_application_with_a_keyprefix_has_its_name(redis_url: str) -> None:
    options = {"broker_transport_options": {"global_keyprefix": "P:"}}
    dispatcher = announce(application(redis_url, options))
    assert dispatcher.post.flush()
    assert len(entries(redis_url, "umbel:events:P:")) >= 1
    assert entries(redis_url) == []


def test_the_stream_is_on_a_server_of_its_own_where_one_is_named(
    redis_url: str, ear: Ear, tmp_path: Any
) -> None:
    own = RedisServer(tmp_path / "own").start()
    try:
        dispatcher = announce(application(redis_url, redis_url=own.url))
        assert len(ear.hear(4)) == 4
        assert dispatcher.post.flush()
        assert len([event for entry in entries(own.url) for event in entry.events]) == 4
        assert entries(redis_url) == []
    finally:
        own.stop()


def test_another_name_of_the_broker_is_the_same_server(redis_url: str) -> None:
    before = threading.active_count()
    dispatcher = announce(
        application(redis_url, redis_url=redis_url.replace("127.0.0.1", "LOCALHOST"))
    )
    assert dispatcher.post.flush()
    assert threading.active_count() == before + 1


def test_a_broker_that_is_no_redis_is_left_to_celery() -> None:
    app = application("memory://")
    with app.connection_for_write() as connection:
        dispatcher = app.events.Dispatcher(connection)  # type: ignore[union-attr]
        assert not isinstance(dispatcher, StreamDispatcher)
        dispatcher.send("worker-online")
        with app.events.default_dispatcher() as own:  # type: ignore[union-attr]
            assert not isinstance(own, StreamDispatcher)
