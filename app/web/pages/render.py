"""Templates made into pages and fragments, by one Jinja environment for each language.

Every value is escaped, and a name that a template misspells is an error. A fragment is a
template whose root has an `id`; the same file serves the first load and every live update.
"""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, nodes
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from app.domain.errors import FieldError
from app.domain.tasks import ENDED, RUNNING, TaskState
from app.domain.workers import WorkerState
from app.web.language import language, plural, text
from app.web.pages import fleet, formats, json_text
from app.web.pages.assets import StaticAssets
from app.web.pages.states import look_of, state_word
from app.web.sentences import sentence

ROOT = Path(__file__).resolve().parents[3] / "templates"

Fragments = Mapping[str, Markup]
"""The live parts of a page by the `id` of their root element."""


class Templates:
    """Renders the files under `templates/`."""

    def __init__(self, assets: StaticAssets, root: Path = ROOT) -> None:
        self._loader = FileSystemLoader(root)
        self._environments: dict[str, Environment] = {}
        self._globals = {
            "static": assets.url,
            "task_path": task_path,
            "worker_path": worker_path,
            "queue_path": queue_path,
            "dom_id": formats.dom_id,
            "errors_at": errors_at,
            "is_past": is_past,
            "units": formats.units,
            "look_of": look_of,
            "software_of": fleet.software_of,
            "system_of": fleet.system_of,
            "has_plugin": fleet.has_plugin,
            "TaskState": TaskState,
            "WorkerState": WorkerState,
            "ENDED": ENDED,
            "RUNNING": RUNNING,
        }
        self._filters = {
            "amount": formats.amount,
            "arguments": formats.arguments,
            "clock": formats.clock,
            "cut": formats.cut,
            "duration": formats.duration,
            "machine_time": formats.machine_time,
            "moment": formats.moment,
            "percent": formats.percent,
            "percents": formats.percents,
            "pretty": json_text.pretty,
            "ran": formats.ran,
            "short_id": formats.short_id,
            "share": formats.share,
            "short_name": formats.short_name,
            "sentence": sentence,
            "size": formats.size,
            "state_word": state_word,
            "text": text,
        }

    def __call__(self, template: str, /, **context: object) -> Markup:
        """The text of a template; it is marked as safe to stand in another."""
        return Markup(self._here().get_template(template).render(context))  # noqa: S704

    def _here(self) -> Environment:
        """The environment of the reader's language, made when somebody reads it first."""
        tag = language()
        found = self._environments.get(tag)
        if found is None:
            found = self._environments[tag] = _environment(self._loader)
            found.globals.update(self._globals)
            found.filters.update(self._filters)
        return found


class _Translated(Environment):
    """Templates of one language: texts without values are put in when a template is compiled, and
    cost as little as if they were written there."""

    def compile(self, source: Any, *given: Any, **named: Any) -> Any:
        tree = self.parse(source, *given[:2]) if isinstance(source, str) else source
        return super().compile(_Texts().visit(tree), *given, **named)


class _Texts(NodeTransformer):
    """Puts the text in the place of each `_("text")`."""

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802 - the visitor's name for it
        self.generic_visit(node)
        named = isinstance(node.node, nodes.Name) and node.node.name in ("_", "gettext")
        if not named or len(node.args) != 1 or node.kwargs:
            return node
        [message] = node.args
        if not isinstance(message, nodes.Const):
            return node
        return nodes.TemplateData(text(message.value) % {}, lineno=node.lineno)


def _environment(loader: FileSystemLoader) -> Environment:
    made = _Translated(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,  # an update of the checkout must not meet the running code
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_callables(text, plural, newstyle=True)  # type: ignore[attr-defined]
    return made


def errors_at(errors: Iterable[FieldError], name: str) -> list[FieldError]:
    """The errors about one field."""
    return [error for error in errors if name in error.loc]


def is_past(at: float) -> bool:
    """Whether a moment that was ahead has come."""
    return at <= time.time()


def task_path(task_id: str) -> str:
    """The address of a task's page."""
    return "/ui/tasks/" + quote(task_id, safe="")


def worker_path(name: str) -> str:
    """The address of a worker's page."""
    return "/ui/workers/" + quote(name, safe="@")


def queue_path(name: str) -> str:
    """The address of a queue's page."""
    return "/ui/queues/" + quote(name, safe="")


def submit_path(name: str) -> str:
    """The address of the form for a task of that name."""
    return "/ui/submit?name=" + quote(name, safe="")
