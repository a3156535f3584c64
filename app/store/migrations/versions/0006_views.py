"""Saved views of the list of tasks, which are everybody's."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "saved_views",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("search", sa.Text, nullable=False),
        sa.Column("sort", sa.Text, nullable=False),
        sa.Column("columns", sa.Text, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
    )
