"""What proves that nothing is lost: positions, the fence, how windows healed, redeliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("tasks", sa.Column("chord_id", sa.Text))
    op.add_column("tasks", sa.Column("redelivery_at", sa.Double))
    op.add_column("rollups", sa.Column("whole", BIG, nullable=False, server_default="0"))
    op.add_column("blind_windows", sa.Column("source", sa.Text))
    for count in ("found", "ended", "lost"):
        op.add_column("blind_windows", sa.Column(count, sa.Integer))
    op.create_table(
        "positions",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("position", sa.Text, nullable=False),
    )
    op.create_table(
        "fence",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("token", BIG, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("taken_at", sa.Double, nullable=False),
    )
