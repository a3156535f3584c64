"""How long the oldest message of a queue waited, minute by minute."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("queue_minutes", sa.Column("oldest", sa.Double))
