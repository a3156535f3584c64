"""All that does not differ from task to task in what is sent: written once, then filled in.

Field by field the same as the installed Celery's (a test compares the two on a real Redis),
written from templates because a batch makes ten thousand of them.
"""

from json.encoder import encode_basestring_ascii as quote
from typing import NamedTuple

GAP = "\0"
"""Stands where every task has something else in it; JSON has it as an escape only."""
ETA, EXPIRES, PARENT, RETRY_OF, LIFE = "\1\2\3\4\5"
"""Stand where few tasks have anything."""


class Mould(NamedTuple):
    """What messages of one name, queue, priority and number of retries share.

    The texts are in pieces: between two of them stands what differs from task to task.
    """

    queue_key: str
    message: tuple[str, ...]
    event: tuple[str, ...]
    entry: tuple[str, ...]
    marked: tuple[str, str, str]

    @classmethod
    def cut(cls, queue_key: str, marked: tuple[str, str, str], options: "Options") -> "Mould":
        """The mould of those tasks that have these options."""
        message, event, entry = (_pieces(text, options) for text in marked)
        return cls(queue_key, message, event, entry, marked)


class Options(NamedTuple):
    """JSON of what few tasks have: moments, ids, and how long the message lives."""

    eta: str = "null"
    expires: str = "null"
    parent: str = "null"
    retry_of: str = "null"
    life: str = ""


NO_OPTIONS = Options()


def _pieces(text: str, options: Options) -> tuple[str, ...]:
    for mark, given in zip((ETA, EXPIRES, PARENT, RETRY_OF, LIFE), options, strict=True):
        text = text.replace(mark, given)
    return tuple(text.split(GAP))


def marked_message(
    name: str, queue: str, priority: int | None, max_retries: int | None, origin: str
) -> str:
    """kombu's message, with the task as Celery's protocol 2 has it."""
    task, route = quote(name), quote(queue)
    own = "" if max_retries is None else f', "max_retries": {max_retries}'
    return (
        f'{{"body": "{GAP}", "content-encoding": "utf-8", '
        f'"content-type": "application/json", "headers": {{"lang": "py", "task": {task}, '
        f'"id": {GAP}, "shadow": null, "eta": {ETA}, "expires": {EXPIRES}, '
        f'"group": null, "group_index": null, "retries": 0, "timelimit": [null, null], '
        f'"root_id": {GAP}, "parent_id": {PARENT}, "argsrepr": {GAP}, "kwargsrepr": {GAP}, '
        f'"origin": {origin}, "ignore_result": null, "replaced_task_nesting": 0, '
        f'"stamped_headers": null, "stamps": {{}}{own}}}, '
        f'"properties": {{"correlation_id": {GAP}, "reply_to": "", "delivery_mode": 2, '
        f'{LIFE}"delivery_info": {{"exchange": "", "routing_key": {route}}}, '
        f'"priority": {priority or 0}, "body_encoding": "base64", "delivery_tag": "{GAP}"}}}}'
    )


def marked_event(name: str, queue: str, priority: int | None, head: str) -> str:
    """The `task-sent` event, with our own field `umbel`: docs/protocol.md. `head` is its
    beginning, which all events of a producer share."""
    task, route = quote(name), quote(queue)
    return (
        f'{head}, "clock": {GAP}, "uuid": {GAP}, '
        f'"root_id": {GAP}, "parent_id": {PARENT}, "name": {task}, '
        f'"args": {GAP}, "kwargs": {GAP}, "retries": 0, '
        f'"eta": {ETA}, "expires": {EXPIRES}, "queue": {route}, '
        f'"exchange": "", "routing_key": {route}, "timestamp": {GAP}, '
        f'"type": "task-sent", "umbel": {{{GAP}"retry_of": {RETRY_OF}, '
        f'"priority": {priority or 0}}}}}'
    )


def marked_entry(name: str, queue: str, priority: int | None) -> str:
    """The ledger's entry, which `app.broker.ledger` reads."""
    return (
        f"[{GAP}, {quote(name)}, {GAP}, {GAP}, {quote(queue)}, {priority or 0}, "
        f"{ETA}, {EXPIRES}, {GAP}, {PARENT}, {RETRY_OF}]"
    )
