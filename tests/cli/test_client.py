"""The shell's client against a server that behaves, misbehaves, and is not there.

The server here is a script of answers, so that a cut happens where the test wants it; the real
one is met in test_up.py.
"""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from app.cli import client, exits
from app.cli.shell import COMMANDS, make_shell
from app.cli.show import printable
from tests.support import free_port

Answer = Callable[["Asked"], None]


class Asked(BaseHTTPRequestHandler):
    """One request, answered by the script of its server."""

    server: "Script"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        self.server.answer(self)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.sent.append((self.path, json.loads(self.rfile.read(length))))
        self.do_GET()

    def json(self, document: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, *frames: str) -> None:
        """These frames, and then the connection is cut."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for frame in frames:
            self.wfile.write(f"{frame}\n\n".encode())

    def log_message(self, *_: object) -> None:
        pass


class Script(ThreadingHTTPServer):
    """Answers with `answer`; remembers what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.sent: list[tuple[str, Any]] = []
        self.answer: Answer = lambda asked: asked.json({}, 404)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)
    server = Script()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    monkeypatch.setenv("UMBEL_URL", server.url)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def umbel(*arguments: str) -> tuple[int, str, str]:
    found = CliRunner().invoke(make_shell(*COMMANDS), arguments)
    return found.exit_code, found.stdout, found.stderr


def frame(number: int, state: str, event: str = "task", **more: object) -> str:
    data = {"id": "t1", "name": "add", "state": state, **more}
    return f"id: {number}-0\nevent: {event}\ndata: {json.dumps(data)}"


def test_tail_goes_on_where_it_was_cut(script: Script) -> None:
    frames = [[frame(1, "PENDING"), frame(2, "STARTED")], [frame(3, "SUCCESS")]]

    def answer(asked: Asked) -> None:
        if frames:
            asked.stream(*frames.pop(0), *(["event: bye\ndata: {}"] if len(frames) else []))
        else:
            asked.json({"detail": "No more."}, 404)

    script.answer = answer
    status, out, err = umbel("tail", "--json", "--name", "a*", "--name", "b")
    assert (status, err) == (exits.FAILED, "umbel: No more.\n")
    assert [json.loads(line)["state"] for line in out.splitlines()] == [
        "PENDING",
        "STARTED",
        "SUCCESS",
    ]
    assert [headers.get("Last-Event-ID") for _, headers in script.asked] == [None, "2-0", "3-0"]
    assert parse_qs(urlsplit(script.asked[0][0]).query) == {"name": ["a*", "b"], "types": ["task"]}


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_what_a_stream_says_of_itself_is_not_printed(script: Script, more: tuple[str, ...]) -> None:
    answers = [["retry: 1500", frame(1, "SUCCESS")]]
    script.answer = lambda asked: (
        asked.stream(*answers.pop()) if answers else asked.json({"detail": "No more."}, 404)
    )
    _, out, _ = umbel("tail", *more)
    assert len(out.splitlines()) == 1
    assert "SUCCESS" in out


def test_a_gap_is_said_on_standard_error_and_not_among_the_data(script: Script) -> None:
    def answer(asked: Asked) -> None:
        if "Last-Event-ID" in asked.headers:
            asked.json({"detail": "No more."}, 404)
        else:
            asked.stream("event: reset\nid: 9-0\ndata: {}")

    script.answer = answer
    _, out, err = umbel("tail", "--json")
    assert out == ""
    assert "some changes were missed" in err


@pytest.mark.parametrize(("state", "status"), [("SUCCESS", 0), ("FAILURE", 1), ("REVOKED", 1)])
def test_watch_exits_by_how_the_task_ended(script: Script, state: str, status: int) -> None:
    def answer(asked: Asked) -> None:
        if asked.path.endswith("/events"):
            asked.stream(frame(1, "PENDING"), frame(2, "STARTED"), frame(3, state))
        else:
            asked.json({"id": "t1", "name": "add", "state": state, "result": 5})

    script.answer = answer
    found, out, _ = umbel("watch", "t1", "--json")
    assert found == status
    assert [json.loads(line)["state"] for line in out.splitlines()] == ["PENDING", "STARTED", state]


def test_a_timeout_has_an_exit_status_of_its_own(script: Script) -> None:
    done = threading.Event()

    def answer(asked: Asked) -> None:
        asked.stream(frame(1, "STARTED"))
        done.wait(10)

    script.answer = answer
    status, out, _ = umbel("watch", "t1", "--timeout", "0.5")
    done.set()
    assert status == exits.TIMEOUT
    assert "STARTED" in out


def test_a_server_that_is_not_there_has_an_exit_status_of_its_own() -> None:
    for command in (["tasks"], ["tail"], ["watch", "t1"], ["submit", "add"]):
        status, _, err = umbel(*command, "--url", f"127.0.0.1:{free_port()}")
        assert status == exits.UNREACHABLE
        assert "does not answer" in err
        assert "umbel up" in err


def test_a_refusal_is_told_in_the_servers_words_with_the_fields(script: Script) -> None:
    problem = {"detail": "Not so.", "errors": [{"loc": ["body", "args"], "msg": "is too long"}]}
    script.answer = lambda asked: asked.json(problem, 422)
    status, _, err = umbel("submit", "add", "--args", "[1]")
    assert status == exits.USAGE
    assert err == "umbel: Not so.\n  body.args: is too long\n"


@pytest.mark.parametrize(("code", "status"), [(404, 1), (409, 1), (403, 1), (422, 2), (503, 3)])
def test_each_kind_of_refusal_has_its_exit_status(script: Script, code: int, status: int) -> None:
    script.answer = lambda asked: asked.json({"detail": "No."}, code)
    assert umbel("watch", "t1")[0] == status


def test_submit_sends_what_was_given_and_prints_the_id(script: Script) -> None:
    script.answer = lambda asked: asked.json({"task_id": "t1", "state": "PENDING"}, 202)
    options = ["--args", "[1]", "--kwargs", '{"y": 2}', "--queue", "q", "--countdown", "5"]
    status, out, _ = umbel("submit", "add", *options, "--idempotency-key", "k")
    assert (status, out) == (0, "t1\n")
    body = {"name": "add", "args": [1], "kwargs": {"y": 2}, "queue": "q", "countdown": 5.0}
    assert script.sent == [("/tasks", body)]
    assert script.asked[0][1]["Idempotency-Key"] == "k"


def test_mark_says_what_happened_and_prints_the_markers_id(script: Script) -> None:
    script.answer = lambda asked: asked.json({"id": 7}, 201)
    options = ["--version", "v1.2", "--link", "https://example.com/v1.2"]
    assert umbel("mark", "Deployed the shop", *options)[:2] == (0, "7\n")
    body = {"title": "Deployed the shop", "version": "v1.2", "url": "https://example.com/v1.2"}
    assert script.sent == [("/markers", body)]


def test_arguments_that_are_no_json_are_refused_before_anything_is_sent(script: Script) -> None:
    status, _, err = umbel("submit", "add", "--args", "[1")
    assert status == exits.USAGE
    assert "--args: '[1' is not JSON" in err
    assert script.sent == []


def test_tasks_follows_the_pages_also_where_one_is_empty(script: Script) -> None:
    pages = [
        {"tasks": [{"id": "a", "state": "SUCCESS"}], "next": "c1"},
        {"tasks": [], "next": "c2"},
        {"tasks": [{"id": "b", "state": "SUCCESS"}], "next": None},
    ]
    script.answer = lambda asked: asked.json(pages.pop(0))
    status, out, _ = umbel("tasks", "--json", "--limit", "500")
    assert status == 0
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["a", "b"]
    cursors = [parse_qs(urlsplit(path).query).get("cursor") for path, _ in script.asked]
    assert cursors == [None, ["c1"], ["c2"]]


def test_what_others_wrote_can_not_move_the_cursor(script: Script) -> None:
    hostile = {"id": "t1", "name": "\x1b[2Jgone\r\n[red]x", "state": "FAILURE"}
    script.answer = lambda asked: asked.json({"tasks": [hostile], "next": None})
    status, out, _ = umbel("tasks")
    assert status == 0
    assert r"\x1b[2Jgone\r\n[red]x" in out
    assert printable("a" * 500).endswith("…")
