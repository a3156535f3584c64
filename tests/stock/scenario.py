"""Sends one task for each thing that can happen to one; prints their ids as JSON by that thing.

Runs in the environment of the Celery that is tested, so it uses nothing but that.
"""

import json
from datetime import datetime, timedelta, timezone

from stock_app import add, app, fail, ignore, parent, progress, reject, retry

with app.connection_for_write():
    sent = {
        "succeeds": add.delay(2, y=3),
        "fails": fail.delay("no <b>such</b> thing"),
        "retries": retry.delay(),
        "progresses": progress.delay(),
        "ignores": ignore.delay(),
        "rejects": reject.delay(),
        "calls": parent.delay(),
        "waits": add.apply_async((1,), countdown=1, expires=60),
        "expires": add.apply_async(
            (1,),
            expires=datetime.now(timezone.utc) - timedelta(seconds=5),  # noqa: UP017
        ),
        "prioritized": add.apply_async((5, 6), priority=6),
    }
    revoked = add.apply_async((7,), countdown=2)
    app.control.revoke(revoked.id)
    sent["revoked"] = revoked

print(json.dumps({name: result.id for name, result in sent.items()}))
