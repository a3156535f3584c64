"""Records what real workers publish: `python -m tests.recorded.record` writes all recordings.

Each is two files: `.jsonl` with a message a line (its body decoded, so that people can read
it) and `.json` with the ids of the tasks by what happened to them. Needs tests.stock.install.
"""

import base64
import json
import re
import socket
import sys
import tempfile
import time
from pathlib import Path

import redis

from tests.recorded import FOLDER
from tests.stock.workers import run_scenario, start_stock_worker
from tests.support import RedisServer

WORKERS = {
    "celery-5.6-threads": ("5.6", ("-P", "threads", "-c", "2")),
    "celery-5.4-prefork": ("5.4", ("-c", "2")),
    "celery-5.5-prefork": ("5.5", ("-c", "2")),
    "celery-5.6-prefork": ("5.6", ("-c", "2")),
    "celery-5.7-prefork": ("5.7", ("-c", "2")),
    "celery-5.7-threads": ("5.7", ("-P", "threads", "-c", "2")),
    "celery-5.7-gevent": ("5.7", ("-P", "gevent", "-c", "2")),
    "celery-5.7-solo": ("5.7", ("-P", "solo", "-c", "1")),
}
QUIET = 4.0
"""Seconds without anything but heartbeats after which the scenario is over."""
HEARTBEATS = 3
"""Heartbeats that are kept; they are all alike."""


def record(name: str, folder: Path) -> None:
    """Runs the scenario on a Redis and a worker of its own and writes what was published."""
    version, options = WORKERS[name]
    server = RedisServer(folder / name).start()
    try:
        with redis.Redis.from_url(server.url) as client, client.pubsub() as pubsub:
            pubsub.psubscribe("/0.celeryev/*", "celery-task-meta-*")
            worker = start_stock_worker(
                server.url, folder / f"{name}.log", *options, version=version
            )
            try:
                ids = run_scenario(server.url, version)
                lines = _listen(pubsub)
            finally:
                worker.stop()
            lines += _listen(pubsub, quiet=0.5)
    finally:
        server.stop()
    (FOLDER / f"{name}.json").write_text(json.dumps(ids, indent=1) + "\n")
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (FOLDER / f"{name}.jsonl").write_text(_anonymous(text))
    print(f"{name}: {len(lines)} messages")


def _anonymous(text: str) -> str:
    """Without the names of the machine and the folders that it was recorded on."""
    found = re.sub(r"/[^\s\"\\]*?/(site-packages|tests/stock)/", r"/app/\1/", text)
    return found.replace(f"@{socket.gethostname()}", "@host")


def _listen(pubsub: "redis.client.PubSub", quiet: float = QUIET) -> list[dict[str, object]]:
    lines: list[dict[str, object]] = []
    beats, last = 0, time.monotonic()
    while time.monotonic() - last < quiet:
        message = pubsub.get_message(ignore_subscribe_messages=True, timeout=0.2)
        if message is None:
            continue
        channel = message["channel"].decode()
        payload = json.loads(message["data"])
        if "body" in payload:
            payload["body"] = json.loads(base64.b64decode(payload["body"]))
        beat = channel.endswith("worker.heartbeat")
        beats += beat
        if not beat:
            last = time.monotonic()
        if not beat or beats <= HEARTBEATS:
            lines.append({"heard_at": time.time(), "channel": channel, "payload": payload})
    return lines


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        for each in sys.argv[1:] or WORKERS:
            record(each, Path(scratch))
