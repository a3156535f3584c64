"""Names on the wire are those of kombu itself; addresses are read in all of Celery's forms."""

import json

import pytest
from celery import Celery
from kombu import Connection

from app.broker.transport import Transport, database_of, redis_url, safe_url, same_server
from app.domain.errors import BadSetting

OPTIONS = [
    {},
    {"global_keyprefix": "P"},
    {"fanout_prefix": False},
    {"fanout_prefix": "/pfx{db}."},
    {"fanout_patterns": False},
    {"global_keyprefix": "team:", "fanout_patterns": False, "sep": "|", "priority_steps": [0, 5]},
]


@pytest.mark.parametrize("options", OPTIONS, ids=json.dumps)
@pytest.mark.parametrize("database", [0, 3])
def test_names_are_those_of_kombu(
    redis_url: str, options: dict[str, object], database: int
) -> None:
    url = f"{redis_url.removesuffix('/0')}/{database}"
    transport = Transport.from_options(url, None, options)
    with Connection(url, transport_options=dict(options)) as connection:
        channel = connection.channel()
        prefix = channel.global_keyprefix
        topic = channel._get_publish_topic
        assert transport.event_channel("task-sent") == prefix + topic("celeryev", "task.sent")
        assert transport.control_channel() == prefix + topic("celery.pidbox", "")
        assert transport.unacked_key() == prefix + channel.unacked_key
        assert transport.binding_key("x") == prefix + channel.keyprefix_queue % "x"
        for priority in range(12):
            key = channel._q_for_pri("mail", priority)
            assert transport.queue_key("mail", priority) == prefix + key


@pytest.mark.parametrize("prefix", ["", "P", "p_", "p:", "p-", "p."])
def test_result_keys_are_those_of_celery(redis_url: str, prefix: str) -> None:
    options = {"global_keyprefix": prefix} if prefix else {}
    celery = Celery(broker=redis_url, backend=redis_url)
    celery.conf.result_backend_transport_options = options
    transport = Transport.from_options(redis_url, None, {"global_keyprefix": "Q"}, options)
    assert transport.result_key("abc") == celery.backend.get_key_for_task("abc").decode()


def test_a_pattern_takes_the_application_s_own_names_word_for_word() -> None:
    transport = Transport.from_options("redis://h", None, {"global_keyprefix": "a*[b]?\\"})
    assert transport.event_pattern() == "a\\*\\[b\\]\\?\\\\/0.celeryev/*"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("redis://h", "redis://h/0"),
        ("redis://h//", "redis://h/0"),
        ("redis://h:6380//3", "redis://h:6380/3"),
        ("redis://", "redis://127.0.0.1/0"),
        ("redis://:6380/1", "redis://127.0.0.1:6380/1"),
        ("redis://u:p%40%2F@h/1", "redis://u:p%40%2F@h/1"),
        ("redis://h/?virtual_host=4", "redis://h/4"),
        ("rediss://h/1?ssl_cert_reqs=CERT_REQUIRED", "rediss://h/1?ssl_cert_reqs=required"),
        ("rediss://h", "rediss://h/0"),
        ("redis+socket:///run/r.sock?virtual_host=3", "unix:///run/r.sock?db=3"),
        ("socket:///run/r.sock?db=3", "unix:///run/r.sock?db=3"),
        ("unix://:secret@/run/r.sock", "unix://:secret@/run/r.sock?db=0"),
    ],
)
def test_an_address_is_read_as_celery_reads_it(given: str, read: str) -> None:
    assert redis_url(given) == read
    assert redis_url(read) == read
    assert database_of(given) == database_of(read)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("amqp://u:secret@h", "not one of redis://"),
        ("redis://u:secret@h/x", "no database number but 'x'"),
        ("redis://u:secret@h/-1", "no database number"),
        ("redis://u:secret@h:port/1", "not a URL"),
        ("redis://u:secret@a;redis://u:secret@b", "names several servers"),
        ("sentinel://u:secret@h", "names several servers"),
        ("redis://u:sec#ret@h", "%23"),
        ("rediss://u:secret@h?ssl_cert_reqs=maybe", "ssl_cert_reqs is 'maybe'"),
        ("", "not one of"),
    ],
)
def test_a_bad_address_is_refused_without_showing_its_password(url: str, sentence: str) -> None:
    with pytest.raises(BadSetting, match=sentence) as refused:
        Transport.from_options(url)
    assert "sec" not in str(refused.value).replace("seconds", "")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"global_keyprefix": 5}, "global_keyprefix is 5; allowed is text"),
        ({"fanout_patterns": "no"}, "fanout_patterns is 'no'; allowed is true or false"),
        ({"fanout_prefix": 1.5}, "fanout_prefix is 1.5"),
        ({"priority_steps": []}, "priority_steps is \\[\\]"),
        ({"priority_steps": [3, 1]}, "ascending integers"),
        ({"priority_steps": ["1"]}, "ascending integers"),
        ({"sep": ""}, "sep is ''"),
        ({"visibility_timeout": float("nan")}, "visibility_timeout is nan"),
        ({"visibility_timeout": 0}, "seconds above 0"),
    ],
)
def test_a_bad_option_is_refused_with_what_is_allowed(
    options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(BadSetting, match=sentence):
        Transport.from_options("redis://h", None, options)


def test_options_that_change_no_name_are_left_alone() -> None:
    given = {"socket_keepalive": True, "max_retries": 3, "visibility_timeout": 43_200}
    assert Transport.from_options("redis://h", None, given).visibility_timeout == 43_200


def test_results_elsewhere_are_said_with_none() -> None:
    assert Transport.from_options("redis://h", "none").result_url == ""
    with pytest.raises(BadSetting, match="say 'none'"):
        Transport.from_options("redis://h", "db+postgresql://u:secret@h/x")


def test_servers_are_the_same_whatever_the_database() -> None:
    assert same_server("redis://h/1", "redis://h//2")
    assert same_server("unix:///a?db=1", "redis+socket:///a?virtual_host=2")
    assert not same_server("redis://h:1", "redis://h:2")
    assert not same_server("unix:///a", "unix:///b")


def test_a_safe_address_keeps_no_secret() -> None:
    assert safe_url("redis://u:p@ss@h:1/2?password=x") == "redis://***@h:1/2"
