"""Tasks to store: random ones for properties, plain ones for the rest."""

import random
import uuid

from hypothesis import strategies as st

from app.domain.tasks import Task, TaskState, Transition, seq_of

NOON = 1_790_000_000.0
NAMES = ("shop.mail.send_receipt", "shop.mail.send_offer", "shop.stock.reserve", None)
QUEUES = ("celery", "mail", None)
WORKERS = ("celery@w1", "celery@w2", "other@w3", None)
WORDS = ("alice@example.com", "東京タワー", "4711", "ok", "Straße", "100%", 'say "hi"', "a_b")


def sample(number: int, **changes: object) -> Task:
    """A task of the `number`-th millisecond after noon, of its own kind for each seed."""
    chance = random.Random(number)
    at = NOON + number / 1_000
    task = Task(
        id=str(uuid.UUID(int=chance.getrandbits(128))),
        seq=seq_of(at),
        name=chance.choice(NAMES),
        state=chance.choice(tuple(TaskState)),
        queue=chance.choice(QUEUES),
        worker=chance.choice(WORKERS),
        args=chance.choice((None, f'["{chance.choice(WORDS[:6])}", {number}]')),
        kwargs_repr=chance.choice((None, f"{{'x': '{chance.choice(WORDS)}'}}")),
        result=chance.choice((None, f'"{chance.choice(WORDS[:6])}"')),
        exception=chance.choice((None, None, "ValueError('no such customer')")),
        sent_at=at,
        runtime=chance.choice((None, chance.random(), 0.5)),
    )
    if task.state.ended and chance.random() < 0.9:
        task.finished_at = at + chance.random() / 2
    for field, value in changes.items():
        setattr(task, field, value)
    return task


texts = st.none() | st.text(max_size=40) | st.sampled_from(WORDS)
names = st.none() | st.text(min_size=1, max_size=20)
moments = st.none() | st.floats(0, 4e9)
steps = st.builds(
    Transition,
    st.sampled_from(TaskState),
    st.floats(0, 4e9),
    names,
    st.integers(0, 1_000),
    texts,
)
ids = st.sampled_from([f"task-{number}" for number in range(8)]) | st.uuids().map(str)
any_task = st.builds(
    Task,
    id=ids,
    seq=st.integers(0, 30) | st.integers(0, 2**61),
    name=names,
    state=st.sampled_from(TaskState),
    custom_state=texts,
    args=texts,
    kwargs=texts,
    result=texts | st.just("9" * 5_000),
    args_repr=texts,
    kwargs_repr=texts,
    result_repr=texts,
    exception=texts,
    traceback=texts,
    queue=names,
    worker=names,
    priority=st.none() | st.integers(-10, 255),
    retries=st.integers(0, 1_000),
    eta=moments,
    expires=moments,
    sent_at=moments,
    received_at=moments,
    started_at=moments,
    finished_at=moments,
    runtime=moments,
    progress_current=moments,
    progress_total=moments,
    progress_message=texts,
    root_id=st.none() | ids,
    parent_id=st.none() | ids,
    group_id=st.none() | ids,
    retry_of=st.none() | ids,
    transitions=st.lists(steps, max_size=4),
)
