"""The same task once more, from a shell or from Python: texts that run as they are.

They are made from true arguments alone. Celery's shortened texts of arguments would run something
else, so where only these are known there is no snippet, but the reason.
"""

import json
import re
import shlex
from dataclasses import dataclass

from app.domain.events import Json
from app.domain.tasks import Task
from app.feed.codec import task_path
from app.web.language import gettext as _

SNIPPET_LIMIT = 16 * 1024
"""Characters of arguments that a snippet repeats: a shell takes 128 KiB in one word, and nobody
reads as much."""
LINE = 88
"""Characters up to which a call stays on one line."""

_WORDS = {"true": "True", "false": "False", "null": "None"}
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Snippet:
    """One way: `key` for the page, `title` for people, `text` to copy."""

    key: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Snippets:
    """All ways, or in one sentence why there are none."""

    ways: tuple[Snippet, ...] = ()
    why_not: str = ""


def write_snippets(task: Task, base: str) -> Snippets:
    """Ways to run a task again; `base` is the address of this Umbel as the reader reached it."""
    if task.name is None:
        return Snippets(why_not=_("Its name was never heard."))
    args = _true(task.args, task.args_repr, "[]")
    kwargs = _true(task.kwargs, task.kwargs_repr, "{}")
    if args is None or kwargs is None:
        return Snippets(why_not=_("Only Celery's shortened text of its arguments is known."))
    if len(args) + len(kwargs) > SNIPPET_LIMIT:
        return Snippets(ways=(Snippet("curl", "curl", _retry(task, base)),))
    body = _body(task, args, kwargs)
    address = base.rstrip("/") + "/tasks"
    return Snippets(
        ways=(
            Snippet("curl", "curl", _curl(address, body)),
            Snippet("celery", "Celery", _celery(task, args, kwargs)),
            Snippet("httpx", "Python", _httpx(address, body)),
        )
    )


def _true(value: Json | None, text: str | None, nothing: Json) -> Json | None:
    """The arguments as they were; also where their text can only mean that there were none."""
    if value is not None:
        return value.strip()
    return nothing if text in ("()", "[]", "{}") else None


def _body(task: Task, args: Json, kwargs: Json) -> Json:
    """What `POST /tasks` takes, with the arguments as they stand: no number is read and written."""
    parts = [f'"name": {json.dumps(task.name)}', f'"args": {args}', f'"kwargs": {kwargs}']
    if task.queue:
        parts.append(f'"queue": {json.dumps(task.queue)}')
    if task.priority is not None and task.priority >= 0:
        parts.append(f'"priority": {task.priority}')
    return "{" + ", ".join(parts) + "}"


def _curl(address: str, body: Json) -> str:
    return (
        f"curl -sS {shlex.quote(address)} \\\n"
        f"  -H 'Content-Type: application/json' \\\n"
        f"  --data-raw {shlex.quote(body)}"
    )


def _retry(task: Task, base: str) -> str:
    address = f"{base.rstrip('/')}{task_path(task.id)}/retry"
    return f"curl -sS -X POST {shlex.quote(address)}"


def _celery(task: Task, args: Json, kwargs: Json) -> str:
    given = [repr(task.name)]
    if args != "[]":
        given.append(f"args={as_python(args)}")
    if kwargs != "{}":
        given.append(f"kwargs={as_python(kwargs)}")
    if task.queue:
        given.append(f"queue={task.queue!r}")
    if task.priority is not None:
        given.append(f"priority={task.priority}")
    hint = _("# app is your Celery application")
    return f"{hint}\n{_call('app.send_task', given)}"


def _httpx(address: str, body: Json) -> str:
    given = [repr(address), f"json={as_python(body)}"]
    call = _call("httpx.post", given)
    return f"import httpx  # or requests\n\nanswer = {call}\nanswer.raise_for_status()\n" + (
        'print(answer.json()["task_id"])'
    )


def _call(function: str, given: list[str]) -> str:
    line = f"{function}({', '.join(given)})"
    if len(line) <= LINE:
        return line
    return f"{function}(\n" + "".join(f"    {each},\n" for each in given) + ")"


def as_python(value: Json) -> str:
    """JSON as an expression of Python that means the same."""
    return "".join(map(_as_python, _TOKEN.findall(value)))


def _as_python(part: str) -> str:
    if part.startswith('"'):
        return repr(json.loads(part, strict=False))
    if part in ",:":
        return part + " "
    return _WORDS.get(part, part)
