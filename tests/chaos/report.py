"""Verdicts as JSON, as a table on the terminal, and in docs/reliability.md."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.report import machine
from tests.chaos.faults import FAULTS
from tests.chaos.verdict import Verdict
from tests.support import ROOT

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
HEAD = (
    "| fault | mode | tasks | wrong at worst | wrong after | true after | lost | doubled "
    "| ran wrongly | unknowable | waiting | whole stories | resets | takeover |"
)
RULE = "|---|---|" + "---:|" * 12


def keep(verdict: Verdict) -> None:
    """Writes results/FAULT-MODE-DATABASE.json, with the machine that it ran on."""
    RESULTS.mkdir(exist_ok=True)
    name = f"{verdict.fault}-{verdict.mode}-{verdict.database}.json"
    document = {
        "ran_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        **asdict(verdict),
    }
    (RESULTS / name).write_text(json.dumps(document, indent=1) + "\n")


def write_table() -> None:
    """Puts all results on file between the marks of docs/reliability.md."""
    text = PAGE.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text("\n".join([before + BEGIN, "", *_page(), "", END + after]))


def row(found: Mapping[str, Any]) -> str:
    """One line of the table."""
    where = "" if found["database"] == "sqlite" else f", {found['database']}"
    seconds = "never" if found["seconds"] is None else f"{found['seconds']:g} s"
    cells = [
        found["fault"],
        found["mode"] + where,
        found["tasks"],
        found["wrong_before"],
        _bad(found["wrong_after"]),
        seconds,
        _bad(found["lost"]),
        _bad(found["doubled"]),
        _bad(found["ran_wrongly"]),
        found["unknowable"],
        found["waiting"],
        f"{100 * found['whole']:.4g} %",
        found["resets"],
        f"{takeover:g} s" if (takeover := found["measured"].get("takeover")) else "",
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _bad(count: int) -> str:
    return f"**{count}**" if count else "0"


def _page() -> list[str]:
    found = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    places = {name: place for place, name in enumerate(FAULTS)}
    found = [each for each in found if each["fault"] in places]
    found.sort(key=lambda each: (places[each["fault"]], each["mode"], each["database"]))
    lines = [HEAD, RULE, *map(row, found), ""]
    lines += [f"* **{fault.name}**: {fault.said}." for fault in FAULTS.values()]
    for each in sorted(found, key=lambda each: each["ran_at"])[-1:]:
        machine_line = ", ".join(f"{key} {value}" for key, value in each["machine"].items())
        first = min(each["ran_at"] for each in found)
        lines += ["", f"Run from {first} to {each['ran_at']} on: {machine_line}."]
    return lines
