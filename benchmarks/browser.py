"""From a worker's event to the changed row in a real Chromium, and what live rows cost it.

Umbel's list of tasks with 50 rows; beside it Flower's, which never changes by itself: it is
told to read its rows anew every second, as Flower's list of workers does.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import redis.asyncio
from playwright.async_api import Page, async_playwright

from app.feed.changes import Change
from app.feed.codec import encode_summary
from app.feed.writer import Feed
from benchmarks import frames, stack
from benchmarks.events import FLOWER, install_flower
from benchmarks.latency import Clocked, event, publish
from benchmarks.report import Figure, Result, Target
from benchmarks.viewers import SERVER, changed_task, task_id
from tests.browser.conftest import ARGS, chromium
from tests.support import Process, RedisServer, free_port

ROWS = 50
RATES = {1_000: (300, 150), 5_000: (600, 350)}
"""Events a second, 50 of which are of the rows on the page; and the 99th percentile in milliseconds
that must be and that is aimed at."""
SECONDS = 12
CHANGES = 5_000
"""Of the 50 rows in a second, for what a page costs the browser."""
TOGETHER = 0.05
"""Seconds of which changes are announced in one go: a tick of the recorder."""
FPS, BUSY, AIM = 60.0, 25.0, 15.0
"""What must be: frames a second, % of a core; and the share that is aimed at."""
EMPTY = "An empty page in the same Chromium"
"""What this machine's browser can do at best, and what counting frames costs."""
CUSTOM = "task-n%06d"
"""An event of the application's own: its name becomes the state that a row shows."""
RETRIED = "task-retried%.0s"
"""Its exception stands in the row."""
COLUMNS = "name,uuid,state,exception,received"

WATCH = """(mark) => {
  window.seen = [];
  const look = (node) => {
    const row = node.closest && node.closest("tr");
    const found = row && row.textContent.match(new RegExp(mark + "(\\\\d{6})", "i"));
    if (!found) return;
    const task = row.innerHTML.match(/0{8}-[0-9a-f-]{27}/)[0];
    window.seen.push([task, +found[1], Date.now()]);
  };
  new MutationObserver((changes) => {
    const rows = new Set();
    for (const change of changes) {
      const node = change.target.nodeType === 1 ? change.target : change.target.parentElement;
      if (node) rows.add(node.closest("tr"));
      for (const added of change.addedNodes) if (added.nodeName === "TR") rows.add(added);
    }
    for (const row of rows) if (row) look(row);
  }).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""
"""Notes when a row first shows each of its numbers."""
RELOAD = """(rows) => {
  const table = $("#tasks-table").DataTable();
  table.page.len(rows).draw();
  setInterval(() => table.ajax.reload(null, false), 1000);
}"""
"""What Flower's list of workers does, done to its list of tasks."""


@dataclass
class Rows:
    """What was said of the rows on the page, and when: `(task, number, time)`."""

    said: list[tuple[str, int, float]] = field(default_factory=list)

    def late(self, seen: list[tuple[str, int, float]]) -> list[float]:
        """Milliseconds until a row showed what was said of it, or what was said of it later."""
        shown: dict[str, list[tuple[int, float]]] = {}
        for task, number, at in seen:
            shown.setdefault(task, []).append((number, at))
        found = []
        for task, number, at in self.said:
            times = [when for other, when in shown.get(task, []) if other >= number]
            if times:
                found.append(min(times) - at * 1000)
        return found


async def run(folder: Path, rounds: int) -> Result:
    """Rounds in turn: Umbel at each rate, Flower at the first, then the page's own cost."""
    await install_flower()
    found: dict[str, list[float]] = {}
    for number in range(rounds):
        plans: dict[str, Callable[[Path], Awaitable[dict[str, float]]]] = {
            **{f"Umbel, {rate:,} events/s": partial(_umbel, rate=rate) for rate in RATES},
            f"Flower 2.2.0, reloading every second, {ROWS} events/s": _flower,
            EMPTY: _ceiling,
            f"Umbel, {CHANGES:,} changes/s of {ROWS} rows": _cost,
        }
        for place, (name, measure) in enumerate(plans.items()):
            inside = folder / f"{number}-{place}"
            inside.mkdir()
            figures = await measure(inside)
            print(f"  {name}: {figures}", flush=True)
            for what, value in figures.items():
                found.setdefault(f"{name}: {what}", []).append(value)
    return _result(found)


def _result(found: dict[str, list[float]]) -> Result:
    units = {"p50": "ms", "p99": "ms", "longest frame": "ms"}
    units |= {"frames": "a second", "main thread": "% of a core"}
    medians = {name: statistics.median(rounds) for name, rounds in found.items()}
    cost = f"Umbel, {CHANGES:,} changes/s of {ROWS} rows"
    return Result(
        "Worker event to the changed row in Chromium",
        f"A list of {ROWS} tasks is open in a headless Chromium. {ROWS} events a second are of its "
        "rows, the others of other tasks; an event counts as shown when its row says what it "
        "said, or what a later one did. Then all changes are of the rows: frames from the first to "
        "the last in a window, by the time between these two, and the processor's time of the "
        "page's main thread; an empty page tells what the machine's browser can do. Flower has "
        "the events of its rows only, and its list is told to read them anew every second, for "
        "it never does by itself.",
        [
            Figure(
                name,
                units[name.rsplit(": ", 1)[1]],
                rounds,
                lower=not name.endswith(": frames"),
                peer=not name.startswith("Umbel"),
            )
            for name, rounds in found.items()
        ],
        [
            *(
                Target(
                    f"{rate:,} events/s: p99",
                    medians[f"Umbel, {rate:,} events/s: p99"],
                    "ms",
                    at_most=must,
                    aim=aim,
                )
                for rate, (must, aim) in RATES.items()
            ),
            Target("frames", medians[f"{cost}: frames"], "a second", at_least=FPS),
            Target(
                "main thread", medians[f"{cost}: main thread"], "% of a core", at_most=BUSY, aim=AIM
            ),
        ],
    )


async def _umbel(folder: Path, rate: int) -> dict[str, float]:
    with stack.redis(folder) as server, stack.umbel(folder, server.url, "serve") as (_, url):
        await stack.until(lambda: stack.answers(url), "events flow")
        await _begin(server)
        async with _page() as page:
            await _open_list(page, url)
            await page.evaluate(WATCH, "n")
            rows = Rows()
            others = publish(server.url, rate - ROWS, SECONDS, Clocked())
            await asyncio.gather(others, _say(server, rows, CUSTOM))
            await asyncio.sleep(1)
            return _percentiles(rows.late(await page.evaluate("window.seen")))


async def _flower(folder: Path) -> dict[str, float]:
    with stack.redis(folder) as server:
        port = free_port()
        command = [str(FLOWER / "bin" / "celery"), f"--broker={server.url}", "flower"]
        command += [f"--port={port}", "--address=127.0.0.1", f"--tasks-columns={COLUMNS}"]
        with stack.running(Process(command, folder / "flower.log")):
            url = f"http://127.0.0.1:{port}"
            await stack.until(lambda: stack.answers(url, "/healthcheck"), "Flower answers")
            await asyncio.sleep(3)  # until it listens
            async with _page() as page:
                rows = Rows()
                await _begin(server)
                await page.goto(f"{url}/tasks?limit={ROWS}", wait_until="domcontentloaded")
                await page.wait_for_selector("#tasks-table tbody tr")
                await page.evaluate(WATCH, "N")
                await page.evaluate(RELOAD, ROWS)
                await _say(server, rows, RETRIED)
                await asyncio.sleep(2)
                return _percentiles(rows.late(await page.evaluate("window.seen")))


async def _cost(folder: Path) -> dict[str, float]:
    """A web process without a recorder, and a feed of nothing but changes of the rows."""
    port = free_port()
    with stack.redis(folder) as server:
        with stack.umbel(folder, server.url, "serve") as (_, url):
            await stack.until(lambda: stack.answers(url), "events flow")
            await _begin(server)
            await stack.until(lambda: _has_rows(url), "the rows are kept")
        environment = {"FEED_URL": server.url, "DATA_DIR": str(folder / "data")}
        process = Process([sys.executable, "-m", SERVER, str(port)], folder / "log", environment)
        with stack.running(process):
            url = f"http://127.0.0.1:{port}"
            await stack.until(lambda: stack.answers(url, "/healthz"), "the server answers")
            async with _page() as page:
                await _open_list(page, url)
                return await _measure_changes(page, server)


async def _ceiling(_: Path) -> dict[str, float]:
    async with _page() as page:
        return await frames.measure(page, SECONDS)


async def _measure_changes(page: Page, server: RedisServer) -> dict[str, float]:
    changing = asyncio.create_task(_change(server, SECONDS + 2))
    await asyncio.sleep(1)
    figures = await frames.measure(page, SECONDS)
    await changing
    return figures


@asynccontextmanager
async def _page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=ARGS)
        yield await browser.new_page()
        await browser.close()


async def _open_list(page: Page, url: str) -> None:
    await stack.until(lambda: _has_rows(url), "the rows are kept")
    await page.goto(url + "/ui/tasks", wait_until="domcontentloaded")
    await page.wait_for_selector("html[data-stream=live]")


async def _has_rows(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        tasks = (await client.get(url + "/tasks", params={"state": "STARTED"})).json()["tasks"]
    return len(tasks) == ROWS


async def _begin(server: RedisServer) -> None:
    """Starts the tasks of the rows."""
    client = redis.asyncio.Redis.from_url(server.url)
    for row in range(ROWS):
        for kind in ("task-sent", "task-received", "task-started"):
            await client.publish(*event(task_id(row), kind, time.time()))
    await client.aclose()


async def _say(server: RedisServer, rows: Rows, kind: str) -> None:
    """One event of each row a second; its number stands in the row."""
    client = redis.asyncio.Redis.from_url(server.url)
    began = time.monotonic()
    await asyncio.sleep(SECONDS / 4)  # when the others have begun
    for number in range(ROWS * SECONDS * 3 // 4):
        at, task = time.time(), task_id(number % ROWS)
        rows.said.append((task, number, at))
        await client.publish(*event(task, kind % number, at, exception=f"n{number:06d}"))
        due = began + SECONDS / 4 + (number + 1) / ROWS
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await client.aclose()


async def _change(server: RedisServer, seconds: float) -> None:
    """Announces changes of the rows."""
    client = redis.asyncio.Redis.from_url(server.url)
    feed = Feed(client)
    await feed.open(None)
    count, began = int(CHANGES * TOGETHER), time.monotonic()
    for tick in range(int(seconds / TOGETHER)):
        numbers = range(tick * count, (tick + 1) * count)
        changes = [
            Change(feed_id, "task", encode_summary(changed_task(number % ROWS, number)))
            for feed_id, number in zip(feed.give_ids(count), numbers, strict=True)
        ]
        await feed.announce(changes)
        await asyncio.sleep(max(0.0, began + (tick + 1) * TOGETHER - time.monotonic()))
    await client.aclose()


def _percentiles(late: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(late, n=100)
    return {"p50": cuts[49], "p99": cuts[98]}
