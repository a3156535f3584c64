"""What we put on the wire, field by field beside what the installed Celery's send_task puts."""

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from celery import Celery
from celery.utils.saferepr import saferepr
from hypothesis import given, settings
from hypothesis import strategies as st

from app.broker.message import Submission
from app.broker.publish import Publisher
from app.broker.reprs import shorten
from app.broker.transport import Transport

UNLIKE = {"id", "root_id", "correlation_id", "delivery_tag", "uuid", "timestamp", "clock"}
"""Fields that differ between any two messages."""
NOON = datetime(2100, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC)

CASES: dict[str, tuple[Submission, dict[str, Any]]] = {
    "nothing": (Submission(name="app.noop"), {}),
    "args": (
        Submission(name="app.add", args='[1, 2.5, "it\'s \\u00e9", {"a": [true, null]}]'),
        {"args": (1, 2.5, "it's é", {"a": [True, None]})},
    ),
    "kwargs": (
        Submission(name="app.add", kwargs='{"x": 1, "y": [[["deep"]]]}'),
        {"kwargs": {"x": 1, "y": [[["deep"]]]}},
    ),
    "big integers": (Submission(name="app.add", args=f"[{10**40}]"), {"args": (10**40,)}),
    "long args": (
        Submission(name="app.add", args=json.dumps(["word " * 1000, 2])),
        {"args": ("word " * 1000, 2)},
    ),
    "eta": (Submission(name="app.add", eta=NOON.timestamp()), {"eta": NOON}),
    "expires": (Submission(name="app.add", expires=NOON.timestamp()), {"expires": NOON}),
    "queue": (Submission(name="app.add", queue="mail"), {"queue": "mail"}),
    "priority": (Submission(name="app.add", priority=7), {"priority": 7}),
    "parents": (
        Submission(name="app.add", root_id="r", parent_id="p"),
        {"root_id": "r", "parent_id": "p"},
    ),
}


@pytest.fixture
def theirs(redis_url: str) -> Iterator[Celery]:
    app = Celery(broker=redis_url, set_as_current=False)
    app.conf.task_send_sent_event = True
    yield app
    app.close()


@pytest.fixture
def events(redis_url: str) -> Iterator[redis.client.PubSub]:
    client = redis.Redis.from_url(redis_url)
    subscription = client.pubsub()
    subscription.psubscribe("/0.celeryev/*")
    subscription.get_message(timeout=5)
    yield subscription
    subscription.close()
    client.close()


def taken(url: str) -> tuple[str, dict[str, Any]]:
    """The one message in the one queue list, taken off it, with the key of the list."""
    with redis.Redis.from_url(url) as client:
        lists = [key for key in client.scan_iter() if client.type(key) == b"list"]
        (key,) = [key for key in lists if not key.startswith(b"umbel:")]
        message = json.loads(client.rpop(key))
        assert client.llen(key) == 0
        return key.decode(), message


def heard(events: redis.client.PubSub) -> tuple[str, dict[str, Any]]:
    message = events.get_message(timeout=5)
    assert message is not None
    return message["channel"].decode(), json.loads(message["data"])


def body_of(message: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(message["body"]))


@pytest.mark.parametrize("case", CASES)
async def test_a_message_and_its_event_are_those_of_send_task(
    case: str, redis_url: str, theirs: Celery, events: redis.client.PubSub
) -> None:
    submission, call = CASES[case]
    theirs.send_task(submission.name, **call)
    their_key, their_message = taken(redis_url)
    their_channel, their_event = heard(events)

    publisher = Publisher(Transport(url=redis_url, result_url=""))
    await publisher.open()
    await publisher.publish([submission])
    await publisher.close()
    our_key, our_message = taken(redis_url)
    our_channel, our_event = heard(events)

    assert our_key == their_key
    assert body_of(our_message) == body_of(their_message)
    assert_alike(our_message["headers"], their_message["headers"])
    life = [m["properties"].pop("expiration", None) for m in (our_message, their_message)]
    assert (life[0] is None) == (life[1] is None)
    if life[0] is not None and life[1] is not None:
        assert abs(int(life[0]) - int(life[1])) < 60_000
    # Celery names a queue for results that only the RPC backend reads.
    assert our_message["properties"].pop("reply_to") == ""
    assert their_message["properties"].pop("reply_to")
    assert_alike(our_message["properties"], their_message["properties"])
    assert set(our_message) == set(their_message)
    assert our_message["content-type"] == their_message["content-type"]
    assert our_message["content-encoding"] == their_message["content-encoding"]

    assert our_channel == their_channel
    assert_alike(our_event["properties"], their_event["properties"])
    assert our_event["headers"] == their_event["headers"]
    told, theirs_told = body_of(our_event), body_of(their_event)
    assert set(told.pop("umbel")) == {"args", "kwargs", "retry_of", "priority"}
    assert_alike(told, theirs_told)
    assert list(told) == list(theirs_told)


def assert_alike(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert set(ours) == set(theirs)
    both_ids = {theirs.get("id"), theirs.get("uuid")} - {None}
    for field, value in theirs.items():
        if field in UNLIKE and (field != "root_id" or value in both_ids):
            assert type(ours[field]) is type(value)
            assert len(str(ours[field])) == len(str(value)) or not isinstance(value, str)
        else:
            assert ours[field] == value, field


async def test_a_countdown_is_an_eta_from_now(redis_url: str, theirs: Celery) -> None:
    before = time.time()
    theirs.send_task("app.add", countdown=300)
    _, their_message = taken(redis_url)
    publisher = Publisher(Transport(url=redis_url, result_url=""))
    await publisher.open()
    await publisher.publish([Submission(name="app.add", countdown=300)])
    await publisher.close()
    _, our_message = taken(redis_url)
    after = time.time()
    for message in (their_message, our_message):
        eta = datetime.fromisoformat(message["headers"]["eta"])
        assert before + 300 <= eta.timestamp() <= after + 300


async def test_max_retries_travels_as_a_header(redis_url: str) -> None:
    publisher = Publisher(Transport(url=redis_url, result_url=""))
    await publisher.open()
    await publisher.publish([Submission(name="app.add", max_retries=5)])
    await publisher.close()
    assert taken(redis_url)[1]["headers"]["max_retries"] == 5


LONG_TEXTS = st.text(min_size=1).map(lambda word: word * 100)
"""Cheap to make, and with a few of them half of the values are longer than is kept."""
JSON_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | LONG_TEXTS
)
JSON_VALUES = st.recursive(
    JSON_LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=40,
)


@settings(deadline=None, max_examples=200)
@given(
    args=st.lists(JSON_VALUES, max_size=5),
    kwargs=st.dictionaries(st.text(), JSON_VALUES, max_size=5),
)
def test_a_shortened_repr_is_that_of_celery(args: list[Any], kwargs: dict[str, Any]) -> None:
    for value in (tuple(args), kwargs):
        assert shorten(value) == saferepr(value, 1024, maxlevels=3)


@pytest.mark.parametrize(
    "value",
    [
        ("x" * 1017, "y", [1]),
        ("x" * 1018, "y", [1]),
        (["word " * 300],),
        ([[]] * 600,),
        ({"k" * 2000: 1}, 2),
        ([[[[1]]], {"a": {"b": {"c": 1}}}],),
        tuple(range(2000)),
    ],
)
def test_a_long_or_deep_value_is_cut_where_celery_cuts_it(value: object) -> None:
    assert shorten(value) == saferepr(value, 1024, maxlevels=3)
