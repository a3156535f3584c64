"""The result of a task whose message was taken back: no worker will ever write it.

Whoever waits for it with `AsyncResult.get()` would wait for ever. It is the document that Celery's
workers write for a revoked task, field by field (a test compares the two).
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime

from app.broker.connection import connect, reading
from app.broker.transport import Transport
from app.broker.withdraw import Withdrawn

RESULT_SECONDS = 24 * 3600
"""How long it is kept: Celery's default for `result_expires`; an application's own isn't known."""

# As Celery's backend does it: what is a result already stays, what waits is overwritten.
_STORE = """
local kept = redis.call('GET', KEYS[1])
if kept then
  local read, document = pcall(cjson.decode, kept)
  local status = read and type(document) == 'table' and document['status']
  if not (status == 'PENDING' or status == 'RECEIVED' or status == 'RETRY'
      or status == 'REJECTED') then
    return 0
  end
end
redis.call('SETEX', KEYS[1], ARGV[1], ARGV[2])
redis.call('PUBLISH', KEYS[1], ARGV[2])
return 1
"""


async def store_revoked(transport: Transport, withdrawn: Iterable[Withdrawn]) -> int:
    """Write REVOKED for these tasks, where they keep results and have none; how many.

    Raises BrokerUnavailable.
    """
    stored = 0
    wanted = [one for one in withdrawn if one.keeps_result and transport.result_url]
    if not wanted:
        return stored
    redis = connect(transport.result_url)
    try:
        with reading(transport.result_url):
            for one in wanted:
                key = transport.result_key(one.task_id)
                stored += await redis.eval(_STORE, 1, key, RESULT_SECONDS, _document(one))
    finally:
        await redis.aclose()
    return stored


def _document(task: Withdrawn) -> str:
    raised = {
        "exc_type": "TaskRevokedError",
        "exc_message": ["revoked"],
        "exc_module": "celery.exceptions",
    }
    document: dict[str, object] = {
        "status": "REVOKED",
        "result": raised,
        "traceback": None,
        "children": [],
        "date_done": datetime.now(UTC).isoformat(),
    }
    if task.group_id:
        document["group_id"] = task.group_id
    if task.parent_id:
        document["parent_id"] = task.parent_id
    return json.dumps({**document, "task_id": task.task_id})
