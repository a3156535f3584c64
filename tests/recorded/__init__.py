"""What real workers published, word for word: `record.py` made it, `load` reads it."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

from app.broker.subscription import Heard

FOLDER = Path(__file__).resolve().parent


def recordings() -> list[str]:
    """The names of the recordings: `celery-5.7-prefork`, …"""
    return sorted(path.stem for path in FOLDER.glob("*.jsonl"))


def load(name: str) -> Iterator[Heard]:
    """The messages of a recording in the order in which they were heard."""
    for line in (FOLDER / f"{name}.jsonl").read_text().splitlines():
        one = json.loads(line)
        payload = one["payload"]
        if "body" in payload:
            payload["body"] = base64.b64encode(json.dumps(payload["body"]).encode()).decode()
        yield Heard(one["channel"].encode(), json.dumps(payload).encode(), one["heard_at"])


def task_ids(name: str) -> dict[str, str]:
    """The ids of the tasks that a recording is about, by what was to happen to them."""
    found: dict[str, str] = json.loads((FOLDER / f"{name}.json").read_text())
    return found
