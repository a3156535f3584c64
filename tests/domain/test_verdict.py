"""What becomes of a task that was looked for: each row is one thing that can have been seen."""

from typing import Any

import pytest

from app.domain.moves import NOTE_LIMIT
from app.domain.tasks import Task, TaskState, Transition
from app.domain.verdict import Evidence, Holder, Kind, Patience, Read, Verdict, judge

NOW = 1_795_000_000.0
PATIENCE = Patience(grace=5.0, drain=600.0)
LONG_AGO, JUST_NOW = NOW - 60.0, NOW - 1.0
DUE = NOW + 3000.0

PENDING, RECEIVED, STARTED = TaskState.PENDING, TaskState.RECEIVED, TaskState.STARTED
PROGRESS, RETRY, LOST = TaskState.PROGRESS, TaskState.RETRY, TaskState.LOST

MISSED = {"absent_since": LONG_AGO}
DEAD = {"holder": Holder.DEAD, "holder_since": NOW - 7.0}
RESTARTED = {"holder": Holder.RESTARTED, "holder_since": NOW - 7.0}
STOPPED = {"holder": Holder.STOPPED, "holder_since": LONG_AGO}
STOPPED_LONG_AGO = {"holder": Holder.STOPPED, "holder_since": NOW - 700.0}
ALIVE, SILENT = {"holder": Holder.ALIVE}, {"holder": Holder.SILENT}
HANDED_OUT = {"redelivery_at": DUE}

DIED = "Its worker celery@w1 died while it ran."
NO_ANSWER = "Worker celery@w1 does not answer."
DEEP = "Its queue mail holds more messages than are read."
NOWHERE = (
    "No worker has it, no queue holds it and no result is stored; it ended without a word, or its"
    " message is gone."
)

ROWS: list[tuple[str, TaskState, dict[str, Any], Kind, str]] = [
    ("one that has ended is left", TaskState.SUCCESS, MISSED, Kind.LEAVE, ""),
    ("a revoked one is left", TaskState.REVOKED, MISSED, Kind.LEAVE, ""),
    ("the backend knows its end", STARTED, {"over": True, **DEAD}, Kind.LEAVE, ""),
    ("a lost one whose end came to light", LOST, {"over": True}, Kind.LEAVE, ""),
    ("it runs where it is said to", STARTED, {"held": "w", "running": True}, Kind.LEAVE, ""),
    ("it is held and not begun", RECEIVED, {"held": "w"}, Kind.LEAVE, ""),
    ("it was received unheard", PENDING, {"held": "w"}, Kind.FOUND, ""),
    ("it was begun unheard", RECEIVED, {"held": "w", "running": True}, Kind.FOUND, ""),
    ("its worker was only frozen", LOST, {"held": "w", "running": True}, Kind.FOUND, ""),
    ("its retry is held", RETRY, {"held": "w"}, Kind.FOUND, ""),
    ("it waits where it was sent", PENDING, {"queued": "mail"}, Kind.LEAVE, ""),
    ("its retry waits", RETRY, {"queued": "mail"}, Kind.LEAVE, ""),
    ("a lost one is in its queue", LOST, {"queued": "mail"}, Kind.FOUND, ""),
    ("in its queue, seen once", RECEIVED, {"queued": "mail", **DEAD}, Kind.ABSENT, ""),
    ("given back, seen once", RECEIVED, {"queued": "mail", **STOPPED}, Kind.ABSENT, ""),
    (
        "given back by a worker that stopped",
        RECEIVED,
        {"queued": "mail", **STOPPED, **MISSED},
        Kind.RETURNED,
        "Its worker celery@w1 gave it back to its queue.",
    ),
    (
        "given back by a worker that lives",
        STARTED,
        {"queued": "mail", **ALIVE, **MISSED},
        Kind.RETURNED,
        "Its worker celery@w1 gave it back to its queue.",
    ),
    (
        "queued again while a busy worker may run it",
        STARTED,
        {"queued": "mail", **SILENT, **MISSED},
        Kind.UNJUDGED,
        NO_ANSWER,
    ),
    ("kept for its rate limit", RECEIVED, {**HANDED_OUT, **ALIVE, **MISSED}, Kind.LEAVE, ""),
    ("prefetched by a dead worker", RECEIVED, {**HANDED_OUT, **DEAD}, Kind.ORPHANED, ""),
    ("prefetched before a restart", RECEIVED, {**HANDED_OUT, **RESTARTED}, Kind.ORPHANED, ""),
    ("late acknowledged, worker died", STARTED, {**HANDED_OUT, **DEAD}, Kind.LOST, DIED),
    ("the same in progress", PROGRESS, {**HANDED_OUT, **DEAD}, Kind.LOST, DIED),
    ("lost before its message was seen", LOST, {**HANDED_OUT, **DEAD}, Kind.ORPHANED, ""),
    (
        "handed out, worker asked in vain",
        RECEIVED,
        {**HANDED_OUT, **SILENT, **MISSED},
        Kind.UNJUDGED,
        NO_ANSWER,
    ),
    (
        "handed out, worker leaving",
        STARTED,
        {**HANDED_OUT, **STOPPED, **MISSED},
        Kind.UNJUDGED,
        "Its worker celery@w1 is leaving, and may still be finishing it.",
    ),
    (
        "handed out, worker long gone",
        STARTED,
        {**HANDED_OUT, **STOPPED_LONG_AGO, **MISSED},
        Kind.LOST,
        "Its worker celery@w1 shut down while it ran.",
    ),
    ("taken unheard, seen once", PENDING, HANDED_OUT, Kind.ABSENT, ""),
    ("taken unheard by one that died", PENDING, {**HANDED_OUT, **MISSED}, Kind.ORPHANED, ""),
    (
        "taken unheard, perhaps by a living one",
        PENDING,
        {**HANDED_OUT, **MISSED, "keepers": True},
        Kind.UNJUDGED,
        "A worker may keep it, unsaid, for its rate limit.",
    ),
    (
        "taken unheard, perhaps by a busy one",
        PENDING,
        {**HANDED_OUT, **MISSED, "silent": ("celery@w2",)},
        Kind.UNJUDGED,
        "Worker celery@w2 does not answer.",
    ),
    ("its worker died at work", STARTED, DEAD, Kind.LOST, DIED),
    ("also with a deep queue", STARTED, {**DEAD, "queue": Read.NOTHING}, Kind.LOST, DIED),
    ("also with much handed out", STARTED, {**DEAD, "unacked": False}, Kind.LOST, DIED),
    ("also with others silent", PROGRESS, {**DEAD, "silent": ("w2",)}, Kind.LOST, DIED),
    (
        "a worker begun anew",
        STARTED,
        RESTARTED,
        Kind.LOST,
        "Its worker celery@w1 was restarted while it ran.",
    ),
    (
        "a worker that was heard a moment ago",
        STARTED,
        {"holder": Holder.DEAD, "holder_since": JUST_NOW},
        Kind.ABSENT,
        "",
    ),
    (
        "received by a dead worker and in no place",
        RECEIVED,
        DEAD,
        Kind.LOST,
        "Its worker celery@w1 died before it ran, and nobody has it any more.",
    ),
    (
        "much is handed out",
        RECEIVED,
        {**DEAD, "unacked": False},
        Kind.UNJUDGED,
        "More messages are handed out than are read.",
    ),
    ("its busy worker says nothing", STARTED, {**SILENT, **MISSED}, Kind.UNJUDGED, NO_ANSWER),
    (
        "its worker is leaving",
        STARTED,
        {**STOPPED, **MISSED},
        Kind.UNJUDGED,
        "Its worker celery@w1 is leaving, and may still be finishing it.",
    ),
    (
        "its worker has long left",
        STARTED,
        {**STOPPED_LONG_AGO, **MISSED},
        Kind.LOST,
        "Its worker celery@w1 shut down while it ran.",
    ),
    (
        "let go of by a worker that left",
        RETRY,
        {**STOPPED, **MISSED},
        Kind.LOST,
        "Its worker celery@w1 shut down and let go of it, and nobody has it any more.",
    ),
    ("missed for the first time", STARTED, ALIVE, Kind.ABSENT, ""),
    ("missed a moment ago", STARTED, {**ALIVE, "absent_since": JUST_NOW}, Kind.ABSENT, ""),
    ("missed twice", STARTED, {**ALIVE, **MISSED}, Kind.LOST, NOWHERE),
    (
        "missed twice after a blind window",
        STARTED,
        {**ALIVE, **MISSED, "unheard": (NOW, NOW + 37.0)},
        Kind.LOST,
        "No worker has it, no queue holds it and no result is stored; it may have ended unheard"
        " between 11:06:40 and 11:07:17 UTC.",
    ),
    (
        "missed twice, and results are elsewhere",
        STARTED,
        {**ALIVE, **MISSED, "results": False},
        Kind.LOST,
        "No worker has it and no queue holds it, and no results can be read; it ended without a"
        " word, or its message is gone.",
    ),
    (
        "Redis forgot it",
        PENDING,
        {**MISSED, "forgot": True},
        Kind.LOST,
        "Redis began anew without its message: no worker has it and no queue holds it.",
    ),
    ("one that waited is gone", PENDING, MISSED, Kind.LOST, NOWHERE),
    ("its queue is deep", PENDING, {**MISSED, "queue": Read.NEXT}, Kind.UNJUDGED, DEEP),
    ("its retry's queue is deep", RETRY, {**MISSED, "queue": Read.NEXT}, Kind.UNJUDGED, DEEP),
    ("it left a deep queue", STARTED, {**ALIVE, **MISSED, "queue": Read.NEXT}, Kind.LOST, NOWHERE),
    (
        "a busy worker may have taken it",
        PENDING,
        {**MISSED, "silent": ("celery@w2",)},
        Kind.UNJUDGED,
        "Worker celery@w2 does not answer.",
    ),
    ("a lost one stays lost", LOST, {**DEAD, **MISSED}, Kind.LEAVE, ""),
]


def task_in(state: TaskState, **more: Any) -> Task:
    values = {"worker": None if state is PENDING else "celery@w1", "queue": "mail", **more}
    return Task(id="t", state=state, transitions=[Transition(state, LONG_AGO)], **values)


@pytest.mark.parametrize(
    ("state", "seen", "kind", "reason"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_the_rule(state: TaskState, seen: dict[str, Any], kind: Kind, reason: str) -> None:
    verdict = judge(task_in(state), Evidence(now=NOW, **seen), PATIENCE)
    assert (verdict.kind, verdict.reason) == (kind, reason)


def test_an_orphan_is_told_with_the_time_of_its_redelivery_and_only_once() -> None:
    seen = Evidence(now=NOW, redelivery_at=DUE, holder=Holder.DEAD, holder_since=LONG_AGO)
    assert judge(task_in(RECEIVED), seen, PATIENCE).redelivery_at == DUE
    assert judge(task_in(STARTED), seen, PATIENCE).redelivery_at == DUE
    known = task_in(RECEIVED, redelivery_at=DUE)
    assert judge(known, seen, PATIENCE) == Verdict(Kind.LEAVE)


def test_an_orphan_that_somebody_has_again_is_found() -> None:
    known = task_in(RECEIVED, redelivery_at=DUE)
    assert judge(known, Evidence(now=NOW, held="w"), PATIENCE).kind is Kind.FOUND
    back = judge(known, Evidence(now=NOW, queued="mail", absent_since=LONG_AGO), PATIENCE)
    assert back == (Kind.RETURNED, "Whoever had it is gone, and it is in its queue again.", None, 0)


def test_of_a_task_that_nobody_placed_in_a_queue_nothing_is_said() -> None:
    verdict = judge(task_in(PENDING, queue=None), Evidence(now=NOW, **MISSED), PATIENCE)
    assert verdict == Verdict(Kind.UNJUDGED, "Nobody said which queue it was sent to.")


def test_only_what_an_answer_would_settle_is_looked_for_again_soon() -> None:
    silent = judge(task_in(STARTED), Evidence(now=NOW, holder=Holder.SILENT), PATIENCE)
    deep = judge(task_in(PENDING), Evidence(now=NOW, queue=Read.NEXT), PATIENCE)
    assert (silent.soon, deep.soon) == (True, False)


def test_no_sentence_is_longer_than_a_step_of_the_story_takes() -> None:
    name = "w" * 500
    for _, state, seen, _, _ in ROWS:
        task = task_in(state, queue=name, worker=name)
        for more in ({}, {"unheard": (NOW, NOW)}, {"unheard": (NOW, NOW), "results": False}):
            verdict = judge(task, Evidence(**{"now": NOW, **seen, **more}), PATIENCE)
            assert len(verdict.reason) <= NOTE_LIMIT
