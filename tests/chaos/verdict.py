"""What came out of one trial, in numbers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.load import Sent
from tests.chaos.shown import Shown, is_whole, mistake, unknowable
from tests.chaos.subscribers import Judgement
from tests.chaos.truth import Fact, Runs

REVOKE_SECONDS = 1.0
"""A task may begin so long after its revoke was accepted: it was on its way already."""
SLOWEST = 3
"""Examples kept of what was shown wrongly for the longest time."""
DETAILS = 20
"""Examples kept of what is wrong."""


@dataclass(kw_only=True)
class Verdict:
    """One fault's outcome.

    `wrong_before`: the most tasks at once that had ended and were shown otherwise, before healing.
    `seconds`: from the moment when the part was back until everything shown was true.
    `lost`: accepted tasks that Umbel has never heard of, and changes that a subscriber missed
    unsaid. `doubled`: changes sent to a subscriber twice or out of order. `ran_wrongly`: runs of
    refused and revoked tasks, and second runs that no redelivery explains. `unknowable`: LOST, as
    nothing is left to tell. `whole`: share of ended tasks whose start and end are both known.
    `waiting`: tasks that wait still, rightly shown so.
    `details` and `slowest`: examples, of what is wrong and of what was so for the longest time.
    """

    fault: str
    mode: str
    database: str
    tasks: int
    wrong_before: int
    wrong_after: int
    seconds: float | None
    lost: int
    doubled: int
    ran_wrongly: int
    unknowable: int
    whole: float
    resets: int
    waiting: int
    measured: dict[str, float] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)
    slowest: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """As it should be."""
        return not (self.wrong_after or self.lost or self.doubled or self.ran_wrongly)


def mistakes(sent: Iterable[Sent], facts: Mapping[str, Fact], shown: Shown) -> dict[str, str]:
    """What is wrong, by task."""
    found = {each.id: mistake(each, facts[each.id], shown.get(each.id)) for each in sent}
    return {task_id: said for task_id, said in found.items() if said}


def wrong_runs(sent: Iterable[Sent], runs: Mapping[str, Runs], redelivers: bool) -> list[str]:
    """Tasks that ran although they should not, or more often than they should."""
    found = []
    for each in sent:
        said = _wrong_run(each, runs.get(each.id, Runs()), redelivers)
        if said:
            found.append(f"{each.kind} {each.id} by {each.way}: {said}")
    return found


def _wrong_run(sent: Sent, runs: Runs, redelivers: bool) -> str:
    if sent.accepted is False and runs.starts():
        return f"ran although it was refused ({sent.note})"
    if sent.revoked_at is not None and runs.starts(after=sent.revoked_at + REVOKE_SECONDS):
        return "ran after it was revoked"
    if runs.most_starts() > 1 and not redelivers:
        again = sum(line["again"] for line in runs.lines)
        return f"one attempt ran {runs.most_starts()} times ({again} lines of redeliveries)"
    return ""


def lost_changes(judgements: Iterable[Judgement]) -> list[str]:
    """What subscribers missed without being told."""
    return [
        f"{each.name} missed {what}"
        for each in judgements
        for what in each.missed + [f"the end of {task_id}" for task_id in each.stale]
    ] + [f"{each.name}: {error}" for each in judgements for error in each.errors]


def doubled_changes(judgements: Iterable[Judgement]) -> list[str]:
    """What subscribers were sent twice or out of order."""
    return [
        f"{each.name} had {feed_id} twice or out of order"
        for each in judgements
        for feed_id in each.doubled + each.disordered
    ]


def count_unknowable(facts: Mapping[str, Fact], shown: Shown) -> int:
    """Tasks shown as LOST, since nothing is left that could tell how they ended."""
    return sum(unknowable(fact, shown.get(task_id)) for task_id, fact in facts.items())


def share_of_whole(shown: Mapping[str, Mapping[str, Any]]) -> float:
    """Of the ended tasks, those with a whole story."""
    ended = [task for task in shown.values() if task["state"] in ("SUCCESS", "FAILURE", "REVOKED")]
    return sum(map(is_whole, ended)) / max(1, len(ended))
