"""Every setting can be given, and a bad value is one sentence that helps."""

from pathlib import Path

import pytest

from app.domain.errors import BadSetting
from app.settings import SETTINGS, misspelt, read_settings, without_password


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(f"UMBEL_{name.upper()}", raising=False)
    for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_flag_wins_over_the_environment_and_that_over_the_env_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("UMBEL_PORT=1001\nUMBEL_LOG_LEVEL=debug\nUMBEL_HOST=::1\n")
    monkeypatch.setenv("UMBEL_PORT", "1002")
    monkeypatch.setenv("UMBEL_HOST", "localhost")
    settings = read_settings(port="1003")
    assert (settings.port, settings.host, settings.log_level) == (1003, "localhost", "debug")


def test_what_is_not_given_follows_the_broker_and_the_data_folder(tmp_path: Path) -> None:
    settings = read_settings(broker_url="redis://h:1/3", data_dir=str(tmp_path / "d"))
    assert settings.result_backend == settings.redis_url == "redis://h:1/3"
    assert settings.database_url == f"sqlite:///{tmp_path / 'd' / 'umbel.db'}"
    assert settings.transport().database == 3


def test_celerys_own_variables_are_read_where_ours_are_not_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://celery/1")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "redis://celery/2")
    assert read_settings().broker_url == "redis://celery/1"
    assert read_settings().result_backend == "redis://celery/2"
    monkeypatch.setenv("UMBEL_BROKER_URL", "redis://umbel/1")
    assert read_settings().broker_url == "redis://umbel/1"


def test_an_empty_variable_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMBEL_PORT", "")
    monkeypatch.setenv("UMBEL_BROKER_URL", "")
    assert (read_settings().port, read_settings().broker_url) == (8000, "")


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("port", "99999", "UMBEL_PORT is '99999', but must be a number from 1 to 65535."),
        ("port", "http", "from 1 to 65535"),
        ("broker_url", "amqp://u:geheim@h//", "UMBEL_BROKER_URL is 'amqp://u:***@h//'"),
        ("broker_url", "redis//:geheim@h", "UMBEL_BROKER_URL is 'redis//:***@h'"),
        ("result_backend", "db+sqlite:///x", "or `none` where results are kept elsewhere"),
        ("redis_url", "redis://h/x", "UMBEL_REDIS_URL"),
        ("database_url", "mysql://u:geheim@h/d", "UMBEL_DATABASE_URL is 'mysql://u:***@h/d'"),
        ("auth", "password", "not part of this version yet"),
        ("host", "0.0.0.0", "UMBEL_ALLOW_OPEN=yes"),
        ("allow_open", "perhaps", "must be yes or no"),
        ("retention", "5m", "UMBEL_RETENTION is '5m', but must be a duration of an hour or more"),
        ("retention", "long", "must be a duration of an hour or more"),
        ("label", "shop:pink", "a colon and one of red, amber, green, blue, violet and grey"),
        ("label", "a word that is much too long", "a word of up to 24 characters"),
        ("log_level", "loud", "must be debug, info, warning or error"),
        ("log_format", "xml", "must be text or json"),
        ("broker_transport_options", "{", "must be a JSON object"),
        ("result_backend_transport_options", "[1]", "must be a JSON object"),
        ("broker_transport_options", '{"global_keyprefix": 3}', "global_keyprefix"),
        ("broker_transport_options", '{"priority_steps": "x"}', "priority_steps"),
    ],
)
def test_a_bad_value_is_one_sentence_with_setting_value_and_what_is_allowed(
    name: str, value: str, part: str
) -> None:
    with pytest.raises(BadSetting) as refused:
        read_settings(**{"broker_url": "redis://h", name: value})
    sentence = str(refused.value)
    assert part in sentence
    assert "geheim" not in sentence
    assert "\n" not in sentence


def test_a_broker_is_asked_for_where_one_is_needed() -> None:
    with pytest.raises(BadSetting, match="UMBEL_BROKER_URL is not set"):
        read_settings().transport()


def test_a_child_process_reads_the_same_settings_from_its_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = read_settings(
        broker_url="redis://:pw@h:1/3",
        host="0.0.0.0",
        allow_open="yes",
        allowed_hosts="a.example, b.example",
        retention="300w",
        label="shop EU:violet",
        queues="mail,slow",
        broker_transport_options='{"global_keyprefix": "p:", "priority_steps": [0, 5]}',
    )
    for name, value in given.environment().items():
        monkeypatch.setenv(name, value)
    assert read_settings() == given


def test_no_password_is_shown_with_the_settings() -> None:
    settings = read_settings(broker_url="redis://user:geheim@h:1/3")
    assert "geheim" not in f"{settings} {settings!r}"
    assert without_password("redis://:a:b@c@h/0") == "redis://:***@h/0"


def test_a_misspelt_setting_is_noticed() -> None:
    assert misspelt({"UMBEL_PROT": "1", "UMBEL_SOFT_SHUTDOWN": "2", "PATH": "/"}) == [
        "UMBEL_PROT is not a setting; did you mean UMBEL_PORT?"
    ]
