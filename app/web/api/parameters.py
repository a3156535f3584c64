"""The query parameters of a filter of tasks, as the documentation has them."""

from app.domain.filters import MAX_TEXT, Sort
from app.domain.search import MAX_SEARCH
from app.domain.tasks import TaskState
from app.web.openapi import query

TEXT = {"type": "string", "maxLength": MAX_TEXT}
SEARCH = {"type": "string", "maxLength": MAX_SEARCH}
FILTER_PARAMETERS = [
    query("state", "In any of these states", {"enum": list(TaskState)}, repeatable=True),
    query("name", "Of any of these names; `mail.*` is all that begin so", TEXT, repeatable=True),
    query("queue", "Sent to any of these queues", TEXT, repeatable=True),
    query("worker", "Taken by any of these workers", TEXT, repeatable=True),
    query(
        "q",
        "A search: every word is in id, name, arguments, result or exception, and every term"
        " such as `-name:noise`, `args.user_id:123` or `runtime:>5s` holds",
        SEARCH,
    ),
    query("since", "First known at or after: RFC 3339, or an age such as `2h`", TEXT),
    query("until", "First known before: RFC 3339, or an age such as `15m`", TEXT),
    query(
        "ended",
        "Ended at or after: RFC 3339, or an age such as `2h`; `A..B` is from A on and before B",
        TEXT,
        repeatable=True,
    ),
]
"""The filters of `GET /tasks` and `GET /events`, parsed by `app.domain.filters`."""
SORT = query("sort", "The order; newest first where none is given", {"enum": list(Sort)})
