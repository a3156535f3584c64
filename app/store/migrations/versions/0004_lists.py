"""Indexes that hold all that filters ask for: no list touches a row that it does not show."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

LABELS = ("name_id", "queue_id", "worker_id")


def upgrade() -> None:
    _index("tasks_state", ("state", "seq"), LABELS)
    for label in LABELS:
        others = [each for each in LABELS if each != label]
        beside = ("state", *others, "runtime")
        _index(f"tasks_{label[:-3]}", (label, "seq"), beside, present=label)
    _index("tasks_runtime", ("state", "runtime", "seq"), LABELS, present="runtime")


def _index(name: str, ordered: Sequence[str], beside: Sequence[str], present: str = "") -> None:
    """An index in order of some columns, which tells others too, of rows where one is present."""
    op.drop_index(name, "tasks")
    known = sa.text(f"{present} IS NOT NULL") if present else None
    if op.get_bind().dialect.name == "sqlite":
        op.create_index(name, "tasks", [*ordered, *beside], sqlite_where=known)
    else:
        op.create_index(
            name, "tasks", list(ordered), postgresql_include=list(beside), postgresql_where=known
        )
