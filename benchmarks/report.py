"""What a benchmark finds: kept as JSON, of which the tables of benchmarks/README.md are made."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks import sizing, tables

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
README = HERE / "README.md"
VERSIONS = ("umbel", "celery", "kombu", "uvicorn", "fastapi")
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


@dataclass(frozen=True)
class Figure:
    """One measured quantity: its rounds, and their median.

    `lower` says which way is better, `peer` that it is somebody else's: plots show it in grey.
    """

    what: str
    unit: str
    rounds: list[float]
    lower: bool = False
    peer: bool = False

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


@dataclass(frozen=True)
class Target:
    """What must be: `value` against `at_least` or `at_most`; `aim` is further the same way."""

    what: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    aim: float | None = None

    @property
    def met(self) -> bool:
        if self.at_least is not None:
            return self.value >= self.at_least
        return self.at_most is not None and self.value <= self.at_most

    @property
    def aim_met(self) -> bool:
        if self.aim is None:
            return False
        return self.value >= self.aim if self.at_least is not None else self.value <= self.aim


@dataclass(frozen=True)
class Result:
    """One benchmark's outcome; `how` says in a sentence or two what was done."""

    title: str
    how: str
    figures: list[Figure]
    targets: list[Target]
    versions: dict[str, str] = field(default_factory=dict)


def keep(name: str, result: Result) -> None:
    """Writes results/NAME.json, with the machine that it was measured on."""
    RESULTS.mkdir(exist_ok=True)
    document = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "title": result.title,
        "how": result.how,
        "versions": {name: version(name) for name in VERSIONS} | result.versions,
        "figures": [{**asdict(each), "median": each.median} for each in result.figures],
        "targets": [
            {**asdict(each), "met": each.met, "aim_met": each.aim_met} for each in result.targets
        ],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    for line in tables.section(document):
        print(line)


def machine() -> dict[str, str]:
    """What the figures depend on."""
    return {
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "redis": _redis_version(),
        "load at the end": f"{os.getloadavg()[0]:.1f}",
    }


def write_tables() -> None:
    """Puts all results on file between the marks of README.md, and their plots beside it."""
    text = README.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    on_file = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    lines = tables.page({name: each for name, each in on_file.items() if "figures" in each})
    README.write_text("\n".join([before + BEGIN, *lines, END + after]))
    if "scaling" in on_file:
        sizing.write(on_file["scaling"])


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _redis_version() -> str:
    from app.cli.redis_server import find_binary

    out = subprocess.run([find_binary(), "--version"], capture_output=True, text=True, check=True)
    words: Sequence[str] = out.stdout.split()
    return next((word.removeprefix("v=") for word in words if word.startswith("v=")), "?")
