"""Counts what is done, and never how long it takes: the same on every machine."""

import gc
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Engine, event

T = TypeVar("T")


def calls_of(work: Callable[[], T]) -> tuple[int, T]:
    """How many functions, Python's and C's, this thread calls for it; and its outcome."""
    counted = 0

    def count(_frame: object, what: str, _arg: object) -> None:
        nonlocal counted
        counted += what in ("call", "c_call")

    gc.collect()
    gc.disable()  # its callbacks come when they come
    sys.setprofile(count)
    try:
        outcome = work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return counted, outcome


def bytes_of(work: Callable[[], T]) -> tuple[int, int, T]:
    """How many bytes are allocated at most while it runs, how many stay, and its outcome."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        outcome = work()
        gc.collect()
        after, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return most - before, after - before, outcome


@contextmanager
def statements() -> Iterator[Counter[str]]:
    """Counts the SQL statements of the whole process, each by its text, during the block."""
    found: Counter[str] = Counter()

    def count(_connection: object, _cursor: object, statement: str, *_: Any) -> None:
        found[statement] += 1

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", count)
