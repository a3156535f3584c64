"""Figures by name, queue and worker, at four levels, with sketches of how long things took.

What the minutes had is carried over: counts, and sums of times. Quantiles begin with this version.
"""

import sqlalchemy as sa
from alembic import op

from app.store.labels import Kind
from app.store.rollup_rows import ALL, LAST_MINUTE, LEVELS, OTHERS, place_of

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SUMMED = ("count", "whole", "runtimes", "runtime_sum", "waits", "wait_sum")


def upgrade() -> None:
    op.rename_table("rollups", "rollups_before")
    op.create_table(
        "rollups",
        sa.Column("place", BIG, primary_key=True, autoincrement=False),
        sa.Column("count", BIG, nullable=False),
        sa.Column("whole", BIG, nullable=False),
        sa.Column("runtimes", BIG, nullable=False),
        sa.Column("runtime_sum", sa.Double, nullable=False),
        sa.Column("runtime_sketch", sa.LargeBinary, nullable=False),
        sa.Column("waits", BIG, nullable=False),
        sa.Column("wait_sum", sa.Double, nullable=False),
        sa.Column("wait_sketch", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "rollup_journal",
        sa.Column("number", BIG, primary_key=True, autoincrement=False),
        sa.Column("entries", BIG, nullable=False),
        sa.Column("tallies", sa.LargeBinary, nullable=False),
    )
    for level in LEVELS:
        for kind, label in ((ALL, "0"), (int(Kind.NAME), f"least(name_id, {OTHERS})")):
            _carry(place_of(level, kind, 0), level.step, label)
    op.drop_table("rollups_before")


def _carry(first: int, step: int, label: str) -> None:
    """Adds the minutes up to rows of one level and kind, whose first place this is."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    least = "min" if is_sqlite else "least"
    nothing = "x''" if is_sqlite else "''::bytea"
    latest = f"{least}(minute, {LAST_MINUTE * 60})"
    minute = f"(({latest} - {latest} % {step}) / 60)"
    place = f"{first} + ({minute} << 28) + ({label.replace('least', least)} << 4) + state"
    sums = {
        name: f"CAST(sum({name}) AS {'double precision' if name.endswith('sum') else 'bigint'})"
        for name in _SUMMED
    }
    into = ", ".join(("place", *sums, "runtime_sketch", "wait_sketch"))
    op.execute(
        f"INSERT INTO rollups ({into}) SELECT {place}, {', '.join(sums.values())},"  # noqa: S608
        f" {nothing}, {nothing} FROM rollups_before GROUP BY 1"
    )
