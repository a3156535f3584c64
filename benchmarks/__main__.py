"""`python -m benchmarks [NAME …]`: runs them, writes results/*.json and the tables of README.md."""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks import (
    browser,
    events,
    latency,
    lighthouse,
    lists,
    memory,
    plugin,
    report,
    retention,
    scaling,
    sse_fanout,
    start,
    submit,
    sustained,
    viewers,
)
from benchmarks.report import Result

BENCHMARKS: dict[str, Callable[[Path, int], Awaitable[Result]]] = {
    "browser": browser.run,
    "events": events.run,
    "latency": latency.run,
    "lighthouse": lighthouse.run,
    "lists": lists.run,
    "submit": submit.run,
    "plugin": plugin.run,
    "memory": memory.run,
    "retention": retention.run,
    "scaling": scaling.run,
    "sse_fanout": sse_fanout.run,
    "start": start.run,
    "sustained": sustained.run,
    "viewers": viewers.run,
}


def main() -> None:
    """Runs the benchmarks named, or all of them; `--rounds` of each."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS], default=[])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    for name in given.names or BENCHMARKS:
        with tempfile.TemporaryDirectory(prefix=f"umbel-{name}-") as folder:
            print(f"— {name}", flush=True)
            report.keep(name, asyncio.run(BENCHMARKS[name](Path(folder), given.rounds)))
    report.write_tables()


main()
