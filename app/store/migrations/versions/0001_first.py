"""The first tables."""

import sqlalchemy as sa
from alembic import op

from app.store import search_postgres, search_sqlite

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SORTED = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that is ordered and bounded: by its characters' numbers, as SQLite and Python do."""


def upgrade() -> None:
    _tasks()
    _labels()
    _fleet()
    _figures()
    _ledgers()
    op.create_index("blind_windows_began", "blind_windows", ["began_at"])
    _texts()


def _texts() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        for statement in search_sqlite.FIRST:
            op.execute(statement)
        return
    search_postgres.make(connection)
    for table in ("tasks", "task_texts", "task_values"):
        # Of tens of millions of rows the usual fifth is too many to wait for.
        often = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02"
        op.execute(f"ALTER TABLE {table} SET ({often})")


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("seq", BIG, primary_key=True, autoincrement=False),
        sa.Column("id", SORTED, nullable=False, unique=True),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("name_id", sa.Integer),
        sa.Column("queue_id", sa.Integer),
        sa.Column("worker_id", sa.Integer),
        sa.Column("custom_state", sa.Text),
        sa.Column("priority", sa.Integer),
        sa.Column("retries", sa.Integer, nullable=False),
        sa.Column("eta", sa.Double),
        sa.Column("expires", sa.Double),
        sa.Column("sent_at", sa.Double),
        sa.Column("received_at", sa.Double),
        sa.Column("started_at", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.Column("runtime", sa.Double),
        sa.Column("progress_current", sa.Double),
        sa.Column("progress_total", sa.Double),
        sa.Column("progress_message", sa.Text),
        sa.Column("root_id", sa.Text),
        sa.Column("parent_id", sa.Text),
        sa.Column("group_id", sa.Text),
        sa.Column("retry_of", sa.Text),
        sa.Column("outside", sa.SmallInteger, nullable=False),
        sa.Column("args", sa.Text),
        sa.Column("kwargs", sa.Text),
        sa.Column("result", sa.Text),
        sa.Column("args_repr", sa.Text),
        sa.Column("kwargs_repr", sa.Text),
        sa.Column("result_repr", sa.Text),
        sa.Column("exception", sa.Text),
        sa.Column("traceback", sa.Text),
        sa.Column("transitions", sa.Text, nullable=False),
    )
    op.create_table(
        "task_values",
        sa.Column("seq", BIG, primary_key=True, autoincrement=False),
        sa.Column("field", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("value", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "state_counts",
        sa.Column("state", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("count", BIG, nullable=False),
    )
    _index("tasks_state", ["state"])
    for column in ("name_id", "queue_id", "worker_id"):
        _index(f"tasks_{column[:-3]}", [column, "state"], present=column)
    _index("tasks_runtime", ["runtime"], present="runtime")
    _index("tasks_parent", ["parent_id"], present="parent_id")
    _index("tasks_retry_of", ["retry_of"], present="retry_of")


def _index(name: str, columns: list[str], present: str | None = None) -> None:
    """An index that ends with the row's place, which keeps lists in order without sorting.

    SQLite ends every index so by itself, and would keep a place that is asked for twice.
    """
    if op.get_bind().dialect.name != "sqlite":
        columns = [*columns, "seq"]
    known = sa.text(f"{present} IS NOT NULL") if present else None
    op.create_index(name, "tasks", columns, sqlite_where=known, postgresql_where=known)


def _labels() -> None:
    op.create_table(
        "labels",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("value", SORTED, nullable=False),
        # A number is never given twice, so that one remembered too long finds nothing wrong.
        sqlite_autoincrement=True,
    )
    op.create_index("labels_value", "labels", ["kind", "value"], unique=True)


def _fleet() -> None:
    op.create_table(
        "workers",
        sa.Column("name", SORTED, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("heard_at", sa.Double, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("catalog", sa.Text),
    )
    op.create_table(
        "catalogs",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "queues",
        sa.Column("name", SORTED, primary_key=True),
        sa.Column("measured_at", sa.Double, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )


def _figures() -> None:
    op.create_table(
        "queue_minutes",
        sa.Column("minute", BIG, primary_key=True, autoincrement=False),
        sa.Column("queue", sa.Text, primary_key=True),
        sa.Column("waiting", BIG, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rollups",
        sa.Column("minute", BIG, primary_key=True, autoincrement=False),
        sa.Column("name_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("count", BIG, nullable=False),
        sa.Column("runtimes", BIG, nullable=False),
        sa.Column("runtime_sum", sa.Double, nullable=False),
        sa.Column("runtime_max", sa.Double, nullable=False),
        sa.Column("waits", BIG, nullable=False),
        sa.Column("wait_sum", sa.Double, nullable=False),
        sa.Column("wait_max", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )


def _ledgers() -> None:
    op.create_table(
        "blind_windows",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("began_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("healed_at", sa.Double),
        sa.Column("note", sa.Text),
    )
    op.create_table(
        "announcements",
        sa.Column("number", BIG, primary_key=True),
        sa.Column("first_id", sa.Text, nullable=False),
        sa.Column("last_id", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "audit",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("address", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("outcome_at", sa.Double),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_target", "audit", ["target", "id"])
