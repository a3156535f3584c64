"""The tables of benchmarks/README.md, which are made of results/*.json and nothing else."""

import re
from collections.abc import Iterator
from typing import Any

from benchmarks import plots
from benchmarks.plots import short

Document = dict[str, Any]
INDEX = "### All targets"


def page(documents: dict[str, Document]) -> list[str]:
    """All of them: every target first, then each benchmark."""
    lines = ["", *_index(documents), ""]
    for name, document in documents.items():
        lines += ["", *section(document, plots.write(name, document)), ""]
    return lines


def section(document: Document, plot: str = "") -> list[str]:
    """One benchmark: what was aimed at, the plot, every figure, and where it was measured."""
    lines = [f"### {document['title']}", "", document["how"], ""]
    if document["targets"]:
        lines += [*_head("target"), *(_row(each, each["what"]) for each in document["targets"]), ""]
    if plot:
        lines += [f"![{document['title']}: medians and their spread]({plot})", ""]
    lines += ["| what | median | lowest to highest of the rounds |", "|---|---:|---|"]
    lines += [_figure(figure) for figure in document["figures"]]
    return [*lines, "", *_where(document)]


def _index(documents: dict[str, Document]) -> Iterator[str]:
    yield INDEX
    yield ""
    yield from _head("benchmark and target")
    for document in documents.values():
        title = document["title"]
        for target in document["targets"]:
            yield _row(target, f"[{title}](#{_anchor(title)}): {target['what']}")


def _head(first: str) -> list[str]:
    return [f"| {first} | measured | must | aim | |", "|---|---:|---:|---:|---|"]


def _row(target: Document, what: str) -> str:
    limit, word = target["at_least"], "≥"
    if limit is None:
        limit, word = target["at_most"], "≤"
    aim = f"{word} {short(target['aim'])}" if target.get("aim") is not None else ""
    measured = f"{short(target['value'])} {target['unit']}"
    return f"| {what} | {measured} | {word} {short(limit)} | {aim} | {_verdict(target)} |"


def _verdict(target: Document) -> str:
    if not target["met"]:
        return "**missed**"
    return "aim met" if target.get("aim_met") else "met"


def _figure(figure: Document) -> str:
    rounds = figure["rounds"]
    spread = f"{short(min(rounds))} – {short(max(rounds))} ({len(rounds)})"
    return f"| {figure['what']} | {short(figure['median'])} {figure['unit']} | {spread} |"


def _where(document: Document) -> Iterator[str]:
    machine = ", ".join(f"{key} {value}" for key, value in document["machine"].items())
    versions = ", ".join(f"{key} {value}" for key, value in document["versions"].items())
    yield f"Measured {document['measured_at']} on: {machine}. With {versions}."


def _anchor(title: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
