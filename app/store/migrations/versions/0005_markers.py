"""Markers: what people say has happened, such as a deployment, to be drawn on charts."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "markers",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("version", sa.Text),
        sa.Column("url", sa.Text),
        sqlite_autoincrement=True,
    )
