"""The schema's history. `HEAD` is the newest revision, so that a start need not ask Alembic."""

HEAD = "0007"
