"""The truth for reading, in SQL: written by the recorder alone, read by everybody.

Synchronous and safe to use from several threads and processes; callers in asyncio use a thread.
What depends on the dialect stands in `sqlite.py` (connections, pragmas, lock, upserts) and
`search.py` (text index); everything else is SQLAlchemy Core that PostgreSQL understands too.
"""
