"""What the worker reads from its environment and makes of it."""

import pytest
from celery.exceptions import ImproperlyConfigured

from worker.settings import LONGEST_TASK, configuration, read


def configured(**environ: str) -> dict[str, object]:
    return configuration(read(environ))


def test_results_are_kept_in_the_broker_unless_said_otherwise() -> None:
    found = configured(UMBEL_BROKER_URL="redis://there/3")
    assert found["broker_url"] == found["result_backend"] == "redis://there/3"


def test_celerys_own_names_are_read_too_and_ours_come_first() -> None:
    found = configured(
        CELERY_BROKER_URL="redis://b/0",
        UMBEL_BROKER_URL="redis://a/0",
        CELERY_RESULT_BACKEND="redis://c/0",
    )
    assert found["broker_url"] == "redis://a/0"
    assert found["result_backend"] == "redis://c/0"


def test_results_can_be_kept_nowhere() -> None:
    assert configured(UMBEL_RESULT_BACKEND="none")["result_backend"] == "disabled://"


def test_transport_options_are_added_to_ours() -> None:
    text = '{"global_keyprefix": "p.", "visibility_timeout": 60}'
    options = configured(UMBEL_BROKER_TRANSPORT_OPTIONS=text)["broker_transport_options"]
    assert isinstance(options, dict)
    assert options["global_keyprefix"] == "p."
    assert options["visibility_timeout"] == 60
    assert options["socket_keepalive"] is True


@pytest.mark.parametrize("longest", ["1", "60", "86400"])
def test_a_message_is_not_handed_out_again_while_its_task_may_still_run(longest: str) -> None:
    found = read({"UMBEL_LONGEST_TASK": longest})
    assert float(longest) < found.soft_time_limit < found.time_limit < found.visibility_timeout
    assert found.visibility_timeout < found.result_expires
    conf = configuration(found)
    assert conf["task_time_limit"] == found.time_limit
    assert conf["broker_transport_options"]["visibility_timeout"] == found.visibility_timeout


def test_the_sample_task_may_sleep_for_as_long_as_it_says() -> None:
    assert read({}).soft_time_limit > LONGEST_TASK


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UMBEL_SOFT_SHUTDOWN", "soon"),
        ("UMBEL_SOFT_SHUTDOWN", "-1"),
        ("UMBEL_SOFT_SHUTDOWN", "nan"),
        ("UMBEL_BROKER_TRANSPORT_OPTIONS", "[]"),
        ("UMBEL_BROKER_TRANSPORT_OPTIONS", "{"),
    ],
)
def test_a_bad_value_is_refused_in_a_sentence_that_names_it(name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        read({name: value})
    assert name in str(refusal.value)
    assert repr(value) in str(refusal.value)
