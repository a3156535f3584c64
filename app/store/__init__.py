"""The truth for reading, in SQL: written by the recorder alone, read by everybody.

Synchronous and safe to use from several threads and processes; callers in asyncio use a thread.
SQLite and PostgreSQL are two dialects of one store. What either has of its own stands in
`sqlite.py` and `postgres.py` (connections, time limits, locks), `search_sqlite.py` and
`search_postgres.py` (text index) and `bulk.py` (many rows at once); everything else is the same
SQLAlchemy Core for both, and `tests/store` runs with both.
"""
