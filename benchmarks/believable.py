"""Tasks as a shop's workers would leave them: what a filled store of the benchmarks consists of."""

import random
from dataclasses import dataclass
from itertools import accumulate

from app.domain.queues import Queue
from app.domain.tasks import Task, TaskState, Transition, seq_of
from app.domain.workers import Worker

DAYS = 30
"""Over which the tasks are spread: what is kept by default."""
OPEN = 3_000
"""Tasks at the end that have not ended."""
SPREAD = 4_093
"""Different factors of the runtime among tasks that are made together."""

FREQUENT = "postgres"
"""A word that one task in twenty has."""
UNCOMMON = "guildford"
"""One in a thousand."""
RARE = "quixotic"
"""One in a hundred thousand."""
ABSENT = "zeppelin"
"""None."""

_THINGS = ("order", "invoice", "mail", "image", "search", "stock", "report", "payment")
_DEEDS = ("create", "send", "refresh", "import", "archive")
_QUEUES = ("celery", "mail", "media", "reports", "billing", "search", "imports", "exports")
QUEUES = (*_QUEUES, "priority", "slow", "webhooks", "nightly")
WORKERS = tuple(f"celery@shop-{number:02d}.example.com" for number in range(60))
NAMES = tuple(f"shop.{thing}s.{deed}_{thing}" for thing in _THINGS for deed in _DEEDS)

_WORDS = (  # noqa: SIM905 - forty lines of one word each
    "amber basil cedar delta ember fjord grove hazel inlet jetty karst larch maple "
    "nadir ocean pearl quarry ridge slate tidal umber vapor willow xenon yarrow "
    "zephyr anchor beacon copper driftwood eclipse falcon granite harbor island "
    "jasmine kestrel lantern meadow northern"
).split()
_TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/.venv/lib/python3.11/site-packages/celery/app/trace.py", line 479, in trace_task
    R = retval = fun(*args, **kwargs)
                 ^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/.venv/lib/python3.11/site-packages/celery/app/trace.py", line 779, in __protected
    return self.run(*args, **kwargs)
           ^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/{module}.py", line {line}, in {deed}
    response = client.post(url, json=payload, timeout=10)
               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/.venv/lib/python3.11/site-packages/httpx/_client.py", line 1144, in post
    return self.request("POST", url, content=content, json=json, timeout=timeout)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
{exception}
"""
_EXCEPTIONS = (
    "ConnectTimeout('timed out after 10 s')",
    "HTTPStatusError(\"Server error '503 Service Unavailable' for url 'https://api.example.com/v2'\")",
    "IntegrityError('duplicate key value violates unique constraint \"orders_number_key\"')",
    "ValueError('could not convert string to float: None')",
)
S = TaskState
_STATES = {S.SUCCESS: 0.96, S.FAILURE: 0.027, S.REVOKED: 0.005, S.LOST: 0.003, S.REJECTED: 0.005}
_OPEN_STATES = {S.PENDING: 0.5, S.RECEIVED: 0.2, S.STARTED: 0.2, S.RETRY: 0.1}


@dataclass(frozen=True, slots=True)
class Kind:
    """What tasks of one name have in common; the commonest names are a third of all tasks."""

    name: str
    queue: str
    workers: tuple[str, ...]
    runtime: float


KINDS = tuple(
    Kind(
        name,
        QUEUES[number % len(QUEUES)],
        WORKERS[number % len(QUEUES) :: len(QUEUES)],
        0.02 * 1.2**number,
    )
    for number, name in enumerate(NAMES)
)
_SHARES = tuple(accumulate(1 / (1 + number) for number in range(len(KINDS))))


def tasks(first: int, count: int, total: int, ended_at: float) -> list[Task]:
    """Those `count` of `total` tasks, in order of their places; the last of all are open.

    The same numbers give the same tasks, whoever asks and in whatever order.
    """
    chance = random.Random(first)
    gap = DAYS * 86_400 / total
    began = ended_at - DAYS * 86_400
    moments = sorted(chance.uniform(first, first + count) for _ in range(count))
    factors = [chance.lognormvariate(0.0, 0.7) for _ in range(SPREAD)]
    kinds = chance.choices(KINDS, cum_weights=_SHARES, k=count)
    return [
        _task(chance, first + place, began + moment * gap, kind, factors, total)
        for place, (moment, kind) in enumerate(zip(moments, kinds, strict=True))
    ]


def _task(
    chance: random.Random, number: int, at: float, kind: Kind, factors: list[float], total: int
) -> Task:
    shares = _OPEN_STATES if total - number <= OPEN else _STATES
    state = _drawn(shares, chance.random())
    bits = chance.getrandbits(128)
    task_id = _uuid(bits)
    task = Task(id=task_id, seq=seq_of(at, number), name=kind.name, queue=kind.queue, state=state)
    task.root_id = task_id
    task.sent_at = at
    task.args_repr, task.kwargs_repr = _call(bits, number)
    if not bits & 3 << 4:  # sent through Umbel, which knows more than workers say
        task.args = f"[{task.args_repr[1:-2]}]"
        task.kwargs = task.kwargs_repr.replace("'", '"')
    if not bits & 15:
        task.parent_id = task.root_id = _uuid(bits ^ (1 << 100))
    task.transitions = [Transition(S.PENDING, at)]
    _run(task, kind, bits, factors[bits % SPREAD])
    return task


def _uuid(bits: int) -> str:
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _drawn(shares: dict[TaskState, float], draw: float) -> TaskState:
    for state, share in shares.items():
        draw -= share
        if draw < 0:
            return state
    return next(iter(shares))


def _call(bits: int, number: int) -> tuple[str, str]:
    words = _WORDS[bits % len(_WORDS)], _WORDS[(bits >> 8) % len(_WORDS)]
    said = FREQUENT if bits >> 20 & 1023 < 51 else words[0]
    if not number % 1_000:
        said = UNCOMMON
    if not number % 100_000:
        said = RARE
    customer = f"'customer': '{words[1]}-{bits >> 32 & 0xFFFFF}@example.com'"
    return f"({bits >> 16 & 0xFFFFFF},)", f"{{{customer}, 'note': '{said} {words[0]}'}}"


def _run(task: Task, kind: Kind, bits: int, factor: float) -> None:
    """What workers said of it, as far as its state says that it came."""
    state, sent = task.state, task.sent_at or 0.0
    if state in (S.PENDING, S.REVOKED):
        if state is S.REVOKED:
            task.finished_at = sent + 30.0
            task.transitions.append(Transition(state, task.finished_at, None, 0, "revoked"))
        return
    worker = kind.workers[bits % len(kind.workers)]
    task.worker, steps = worker, task.transitions
    task.received_at = sent + 0.004 * factor
    steps.append(Transition(S.RECEIVED, task.received_at, worker))
    if state in (S.RECEIVED, S.REJECTED):
        if state is S.REJECTED:
            task.finished_at = task.received_at + 0.002
            steps.append(Transition(state, task.finished_at, worker))
        return
    task.started_at = task.received_at + 0.2 * factor
    steps.append(Transition(S.STARTED, task.started_at, worker))
    if state is S.STARTED:
        return
    runtime = kind.runtime * factor
    finished = task.started_at + runtime
    if state is S.SUCCESS:
        task.runtime = runtime
        task.result_repr = f"{{'id': {bits >> 40 & 0xFFFFFF}, 'sent': True}}"
    elif state is S.LOST:
        task.exception = f"{worker} died while it ran this."
    else:
        exception = _EXCEPTIONS[bits % len(_EXCEPTIONS)]
        task.exception = exception
        module, _, deed = kind.name.rpartition(".")
        line = bits & 511
        task.traceback = _TRACEBACK.format(module=module, deed=deed, line=line, exception=exception)
    if state is S.RETRY:
        task.eta, task.retries = finished + 180.0, 1
    else:
        task.finished_at = finished
    steps.append(Transition(state, finished, worker, 0, task.exception))


def fleet(ended_at: float) -> tuple[list[Worker], list[Queue]]:
    """The workers and queues of those tasks, as they were last known."""
    catalog = tuple((name, None) for name in NAMES)
    workers = [
        Worker(
            name=name,
            since=ended_at - 86_400,
            heard_at=ended_at,
            pid=100,
            active=2,
            processed=100_000,
            loadavg=(0.5, 0.6, 0.7),
            frequency=2.0,
            software="py-celery 5.6.0 on Linux",
            pool="prefork",
            concurrency=8,
            prefetch=32,
            queues=(QUEUES[number % len(QUEUES)],),
            catalog=catalog,
        )
        for number, name in enumerate(WORKERS)
    ]
    queues = [
        Queue(
            name=name,
            measured_at=ended_at,
            depths=((0, 100 + number),),
            consumers=WORKERS[number :: len(QUEUES)],
        )
        for number, name in enumerate(QUEUES)
    ]
    return workers, queues
