"""`umbel demo --stream`: a real shop with real workers, seen by what it leaves in Redis."""

import json
import signal
import sys
from pathlib import Path

import psutil
import redis

from app.cli.shop import WORKERS
from tests.support import Process, eventually

RESULTS = "celery-task-meta-*"


def test_the_shop_is_busy_until_it_is_told_to_close(redis_url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app.cli", "demo", "--stream", "--rate", "20"]
    shop = Process(command, tmp_path / "shop.log", {"UMBEL_BROKER_URL": redis_url})
    shop.start()
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:

        def seen() -> set[str]:
            found = client.mget(list(client.scan_iter(RESULTS, count=500)) or ["none"])
            return {json.loads(each)["status"] for each in found if each}

        def busy() -> bool:
            assert shop.running(), shop.output()
            return {"SUCCESS", "RETRY"} <= seen()

        eventually(busy, patience=60)
        family = psutil.Process(shop.pid).children(recursive=True)
        bound = client.keys("_kombu.binding.*")
    assert len(family) > len(WORKERS)
    for queue in ("orders", "payments", "mail"):
        assert f"_kombu.binding.{queue}" in bound
    assert "Traceback" not in shop.output()  # its tasks fail, but quietly
    shop.signal(signal.SIGTERM)
    assert shop.child is not None
    assert shop.child.wait(20) == 0, shop.output()
    assert not [each for each in family if each.is_running() and each.status() != "zombie"]
    assert "killed" not in shop.output()
