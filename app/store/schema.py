"""The tables. Migrations make them; everything else only names them from here."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
)

from app.domain.tasks import TaskState

metadata = MetaData()

BIG = BigInteger().with_variant(Integer, "sqlite")
"""64 bits in either dialect. SQLite makes a primary key the row's own address only if it is
declared INTEGER."""

STATE_CODES = {
    TaskState.PENDING: 0,
    TaskState.RECEIVED: 1,
    TaskState.STARTED: 2,
    TaskState.PROGRESS: 3,
    TaskState.RETRY: 4,
    TaskState.SUCCESS: 5,
    TaskState.FAILURE: 6,
    TaskState.REVOKED: 7,
    TaskState.REJECTED: 8,
    TaskState.LOST: 9,
}
"""States as they stand in the tables: one byte in the row and in each of four indexes. They
never change their meaning; a new state takes the next number."""
STATES = {code: state for state, code in STATE_CODES.items()}

labels = Table(
    "labels",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", SmallInteger, nullable=False),
    Column("value", Text, nullable=False),
)
"""Names of tasks, queues and workers, each once: rows and indexes hold the number."""

tasks = Table(
    "tasks",
    metadata,
    Column("seq", BIG, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("state", SmallInteger, nullable=False),
    Column("name_id", Integer),
    Column("queue_id", Integer),
    Column("worker_id", Integer),
    Column("custom_state", Text),
    Column("priority", Integer),
    Column("retries", Integer, nullable=False),
    Column("eta", Double),
    Column("expires", Double),
    Column("sent_at", Double),
    Column("received_at", Double),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("runtime", Double),
    Column("progress_current", Double),
    Column("progress_total", Double),
    Column("progress_message", Text),
    Column("root_id", Text),
    Column("parent_id", Text),
    Column("group_id", Text),
    Column("retry_of", Text),
    Column("outside", SmallInteger, nullable=False),
    Column("args", Text),
    Column("kwargs", Text),
    Column("result", Text),
    Column("args_repr", Text),
    Column("kwargs_repr", Text),
    Column("result_repr", Text),
    Column("exception", Text),
    Column("traceback", Text),
    Column("transitions", Text, nullable=False),
    Column("chord_id", Text),
    Column("redelivery_at", Double),
)
"""One row a task. The order of columns matters to SQLite: what every list needs comes first,
what can be long and is read for one task only comes last, where it spills without being read;
what a later migration added comes after it, and is short.

`root_id` is "" where a task is its own root, as most are. `outside` has a bit for each of
args, kwargs and result that stands in `task_values`."""

state_counts = Table(
    "state_counts",
    metadata,
    Column("state", SmallInteger, primary_key=True, autoincrement=False),
    Column("count", BIG, nullable=False),
)
"""How many rows of `tasks` are in each state, kept with every commit: counting them would
mean reading an index of tens of millions of entries."""

task_values = Table(
    "task_values",
    metadata,
    Column("seq", BIG, primary_key=True, autoincrement=False),
    Column("field", SmallInteger, primary_key=True, autoincrement=False),
    Column("value", Text, nullable=False),
)
"""Values too long for the row: read with one task, never with a list."""

workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("since", Double, nullable=False),
    Column("heard_at", Double, nullable=False),
    Column("document", Text, nullable=False),
    Column("catalog", Text),
)
"""One row a worker. `document` is the rest of it as JSON; `catalog` names a row of `catalogs`."""

catalogs = Table(
    "catalogs",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("document", Text, nullable=False),
)
"""What workers have registered; a hundred equal workers share one row."""

queues = Table(
    "queues",
    metadata,
    Column("name", Text, primary_key=True),
    Column("measured_at", Double, nullable=False),
    Column("document", Text, nullable=False),
)

queue_minutes = Table(
    "queue_minutes",
    metadata,
    Column("minute", BIG, primary_key=True, autoincrement=False),
    Column("queue", Text, primary_key=True),
    Column("waiting", BIG, nullable=False),
    Column("oldest", Double),
)
"""The greatest depth of each queue in each minute, and the seconds that its oldest message had
waited at most; NULL: nothing waited, or since when was not known."""

rollups = Table(
    "rollups",
    metadata,
    Column("place", BIG, primary_key=True, autoincrement=False),
    Column("count", BIG, nullable=False),
    Column("whole", BIG, nullable=False),
    Column("runtimes", BIG, nullable=False),
    Column("runtime_sum", Double, nullable=False),
    Column("runtime_sketch", LargeBinary, nullable=False),
    Column("waits", BIG, nullable=False),
    Column("wait_sum", Double, nullable=False),
    Column("wait_sketch", LargeBinary, nullable=False),
)
"""How many tasks came to a state in a minute, ten minutes, an hour and a day: all, and by name,
queue and worker; and how long they ran and waited. `place` says of what a row is:
`app/store/rollup_rows.py`. Sketches are packed by `app/domain/lanes.py`."""

rollup_journal = Table(
    "rollup_journal",
    metadata,
    Column("number", BIG, primary_key=True, autoincrement=False),
    Column("entries", BIG, nullable=False),
    Column("tallies", LargeBinary, nullable=False),
)
"""What the last commits add to `rollups` and is not in it yet. `entries` counts from the first."""

blind_windows = Table(
    "blind_windows",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("began_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("cause", Text, nullable=False),
    Column("healed_at", Double),
    Column("note", Text),
    Column("source", Text),
    Column("found", Integer),
    Column("ended", Integer),
    Column("lost", Integer),
)

positions = Table(
    "positions",
    metadata,
    Column("source", Text, primary_key=True),
    Column("position", Text, nullable=False),
)
"""How far each durable stream has been read: kept with the rows that were read up to there."""

fence = Table(
    "fence",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("token", BIG, nullable=False),
    Column("holder", Text, nullable=False),
    Column("taken_at", Double, nullable=False),
)
"""One row: whose word counts. Every recorder that takes over raises the token, and a write
with an older one is refused."""

announcements = Table(
    "announcements",
    metadata,
    Column("number", BIG, primary_key=True),
    Column("first_id", Text, nullable=False),
    Column("last_id", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)
"""Changes that are committed but perhaps not announced yet."""

markers = Table(
    "markers",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("at", Double, nullable=False),
    Column("title", Text, nullable=False),
    Column("version", Text),
    Column("url", Text),
)
"""What people say has happened at a moment, such as a deployment."""

saved_views = Table(
    "saved_views",
    metadata,
    Column("name", Text, primary_key=True),
    Column("search", Text, nullable=False),
    Column("sort", Text, nullable=False),
    Column("columns", Text, nullable=False),
    Column("changed_at", Double, nullable=False),
)
"""Views of the list of tasks that people have named, for everybody: few, and written by the web."""

audit = Table(
    "audit",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("address", Text),
    Column("action", Text, nullable=False),
    Column("target", Text),
    Column("detail", Text, nullable=False),
    Column("outcome", Text),
    Column("outcome_at", Double),
)
"""Who did what, written before it is done; the outcome after. Rows are never taken back."""
