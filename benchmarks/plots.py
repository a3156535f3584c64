"""A plot for each benchmark: bars of medians, with lines from the lowest round to the highest.

Plain SVG, which needs no library, reads in light and dark, and shows in a diff what has changed.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment

FOLDER = Path(__file__).resolve().parent / "plots"
WIDTH, LEFT, RIGHT = 900, 400, 120
"""Pixels: of all, of the names before the bars, and of the figures behind them."""
ROW, BAR, HEAD = 30, 16, 34
"""Pixels: from one bar to the next, a bar's height, and the room for a unit's name."""

_SVG = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{ width }} {{ height }}" role="img"
 width="{{ width }}" height="{{ height }}" font-family="system-ui, sans-serif" font-size="13">
<title>{{ title }}</title>
<style>
text { fill: #1f2328 } .quiet { fill: #59636e } .peer { fill: #afb8c1 } .ours { fill: #2f6feb }
.spread { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .quiet { fill: #9198a1 } .peer { fill: #59636e } .ours { fill: #4493f8 }
.spread { stroke: #e6edf3 }
}
</style>
{% for panel in panels %}
<text class="quiet" x="{{ left }}" y="{{ panel.y }}">{{ panel.unit }}</text>
{% for bar in panel.bars %}
<text x="{{ left - 10 }}" y="{{ bar.y + 13 }}" text-anchor="end">{{ bar.name }}</text>
<rect class="{{ bar.kind }}" x="{{ left }}" y="{{ bar.y }}" width="{{ bar.width }}" \
height="{{ thick }}" rx="2"/>
<path class="spread" d="M{{ bar.low }} {{ bar.y + 8 }}H{{ bar.high }}"/>
<text x="{{ bar.end + 8 }}" y="{{ bar.y + 13 }}">{{ bar.value }}</text>
{% endfor %}
{% endfor %}
</svg>
""")
LONGEST_NAME = 56
"""Characters of a name that fit before the bars; a longer one is cut, and whole in the table."""


def write(name: str, document: dict[str, Any]) -> str:
    """Writes plots/NAME.svg; the answer is its path from the folder of the benchmarks."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.svg"
    path.write_text(draw(document) + "\n")
    return f"{FOLDER.name}/{path.name}"


def draw(document: dict[str, Any]) -> str:
    """One panel for each unit, in which the bars share a scale."""
    panels, y = [], 22
    for unit, figures in groupby(document["figures"], key=lambda figure: figure["unit"]):
        bars = list(_bars(list(figures), y + 12))
        panels.append({"unit": unit, "y": y, "bars": bars})
        y += HEAD + ROW * len(bars)
    return _SVG.render(
        title=document["title"], width=WIDTH, height=y, left=LEFT, thick=BAR, panels=panels
    )


def _bars(figures: list[dict[str, Any]], y: int) -> Iterator[dict[str, object]]:
    longest = max(max(figure["rounds"]) for figure in figures) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / longest
    for place, figure in enumerate(figures):
        width = figure["median"] * scale
        low, high = (LEFT + end(figure["rounds"]) * scale for end in (min, max))
        yield {
            "name": _cut(figure["what"]),
            "kind": "peer" if figure.get("peer") else "ours",
            "y": y + place * ROW,
            "width": round(width, 1),
            "low": round(low, 1),
            "high": round(high, 1),
            "end": round(max(high, LEFT + width), 1),
            "value": short(figure["median"]),
        }


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def short(value: float) -> str:
    """Three figures of it, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
