"""What is proven of the history: that it is in PostgreSQL, and that nothing of it gets lost."""

import subprocess
import time
from collections.abc import Iterator

from composed import (
    COMPOSE,
    ENVIRONMENT,
    OVER,
    PATIENCE,
    ROOT,
    NotProven,
    all_online,
    ask,
    compose,
    containers,
    eventually,
    not_ready,
    page,
    restarts,
    submit,
    successful,
    up,
)

SENT = 1_000
"""Tasks sent while PostgreSQL is killed, away and back."""
PAUSE = 0.02
"""Seconds between two of them: they go on for half a minute, longer than PostgreSQL is away."""
WITHOUT = 10.0
"""Seconds that PostgreSQL stays away, at least."""
SENDER = f"""
import time
from worker.tasks import add
for number in range({SENT}):
    print(add.delay(number, 1).id, flush=True)
    time.sleep({PAUSE})
"""
"""A Celery application that knows nothing of Umbel's: it goes on while Umbel refuses to act."""
STORY = ["PENDING", "RECEIVED", "STARTED", "SUCCESS"]
"""Each once. A worker may say that it received a task before the sender says that it sent it."""


def is_in_postgresql() -> str:
    if "The history, in PostgreSQL." not in page("/ui/data-quality"):
        raise NotProven("/ui/data-quality does not say that the history is in PostgreSQL")
    if "umbel.db" in compose("exec", "-T", "api", "ls", "/data"):
        raise NotProven("there is an SQLite history beside the one in PostgreSQL")
    listed, kept = len(list(listed_tasks())), int(sql("SELECT count(*) FROM tasks"))
    if not 0 < listed == kept:
        raise NotProven(f"the API lists {listed} tasks, PostgreSQL has {kept}")
    encoding = sql("SHOW server_encoding")
    indexed = sql("SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'")
    if (encoding, indexed) != ("UTF8", "1"):
        raise NotProven(f"text is {encoding}, and pg_trgm is there {indexed} times")
    return f"the history is in PostgreSQL ({kept} tasks), as UTF-8 and indexed for searches"


def survives_down_and_up() -> str:
    kept = successful(submit("/tasks/add", {"x": 20, "y": 3}))
    before = [task["id"] for task in listed_tasks()]
    compose("down")
    up()
    all_online()
    again = ask(f"/tasks/{kept['id']}")
    if (again["state"], again["result"]) != ("SUCCESS", 23):
        raise NotProven(f"after down and up the task is {again}")
    after = [task["id"] for task in listed_tasks()]
    if after != before:
        raise NotProven(f"after down and up there are {len(after)} tasks of {len(before)}")
    return f"down, up: all {len(before)} tasks are there as they were"


def loses_nothing_without_postgresql() -> str:
    ours = containers("api") + containers("worker")
    restarted = restarts(ours)
    windows = blind_windows()
    successes = ask("/stats")["tasks"]["SUCCESS"]
    sender = subprocess.Popen(
        [*COMPOSE, "exec", "-T", "worker", "python", "-c", SENDER],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    )
    eventually("tasks run", lambda: ask("/stats")["tasks"]["SUCCESS"] > successes + SENT / 10)
    compose("kill", "-s", "KILL", "postgres")
    reason = eventually("/readyz says what is wrong", store_is_away)
    began = time.monotonic()
    while time.monotonic() < began + WITHOUT:
        if ask("/healthz")["status"] != "ok" or not not_ready():
            raise NotProven("/readyz is well without a PostgreSQL")
        time.sleep(0.5)
    if sender.poll() is not None:
        raise NotProven("all tasks were sent before PostgreSQL came back; send more of them")
    up("--no-recreate")
    all_online()
    told = sender.communicate(timeout=PATIENCE)[0]
    sent = [line for line in told.split() if len(line) == 36]
    if len(sent) != SENT:
        raise NotProven(f"only {len(sent)} of {SENT} tasks were sent: {told[-2000:]}")
    eventually("all tasks are over", lambda: all_over(sent))
    for task_id in sent:
        steps = [step["state"] for step in ask(f"/tasks/{task_id}")["transitions"]]
        if sorted(steps) != STORY:
            raise NotProven(f"the story of {task_id} is {steps}")
    if blind_windows() != windows:
        raise NotProven(f"something went unheard: {ask('/stats')['blind_windows']}")
    if restarts(ours) != restarted:
        raise NotProven("API or workers did not outlive PostgreSQL")
    return f"PostgreSQL killed and back, /readyz 503 ({reason}): all of {SENT} stories are whole"


def moves() -> str:
    """As somebody who comes from a history in SQLite would do it, after going there first."""
    kept = sql("SELECT count(*) FROM tasks")
    compose("stop", "api")
    sql("CREATE DATABASE moved")
    for way in (
        '"$UMBEL_DATABASE_URL" /data/umbel.db',
        '/data/umbel.db "${UMBEL_DATABASE_URL%/*}/moved"',
    ):
        told = compose("run", "--rm", "-T", "api", "sh", "-c", f"umbel move-history {way}")
        if f"{int(kept):,} tasks and all that belongs to them are in" not in told:
            raise NotProven(f"umbel move-history {way} of {kept} tasks said: {told}")
    moved = sql("SELECT count(*) FROM tasks", database="moved")
    if moved != kept:
        raise NotProven(f"{moved} of {kept} tasks arrived")
    up("--no-recreate")
    all_online()
    return f"`umbel move-history` took {kept} tasks from PostgreSQL to SQLite and back"


def sql(statement: str, database: str = "umbel") -> str:
    """What PostgreSQL answers, asked by psql in its own container."""
    asked = ["psql", "-U", "umbel", "-d", database, "-Atc", statement]
    return compose("exec", "-T", "postgres", *asked).strip()


def listed_tasks() -> Iterator[dict]:
    """All tasks, newest first, page by page."""
    cursor = ""
    while True:
        answer = ask(f"/tasks?limit=500&cursor={cursor}")
        yield from answer["tasks"]
        cursor = answer["next"]
        if not cursor:
            return


def all_over(wanted: list) -> bool:
    """Whether each of these tasks is known, and over."""
    over = {task["id"] for task in listed_tasks() if task["state"] in OVER}
    return over.issuperset(wanted)


def blind_windows() -> list:
    """When the latest began."""
    return [window["began_at"] for window in ask("/stats")["blind_windows"]]


def store_is_away() -> str:
    """Why /readyz answers 503, if it is because of the store alone."""
    answer = not_ready()
    away = bool(answer) and not answer["store"]["ok"] and answer["broker"]["ok"]
    return answer["store"]["reason"] if away else ""
