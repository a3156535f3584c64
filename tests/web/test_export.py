"""Lists as files: the same tasks as in the list, whole, harmless for spreadsheets, and in pages."""

import asyncio
import csv
import json
import re
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import httpx
import pytest

from app.domain.columns import parse_columns
from app.domain.errors import Unavailable
from app.domain.filters import Sort, TaskFilter, parse_filter
from app.domain.tasks import Task, TaskState, seq_of
from app.store.database import Database
from app.store.pages import MAX_PAGE
from app.store.writer import Batch, commit
from app.web.export import stream
from app.web.lines import BOM, FIELDS, Format, Wanted, harmless, lines
from app.web.reading import Reading
from tests.web.conftest import ended, submit

BIG = "123456789012345678901234567890"
NAME = re.compile(r'attachment; filename="umbel-tasks-\d{8}T\d{6}Z\.(csv|jsonl)"')


def task(number: int, **known: object) -> Task:
    at = 1_795_000_000 + number / 1000
    fields = {"name": "app.add", "state": TaskState.SUCCESS, "args": f"[{number}]", **known}
    return Task(id=f"t-{number}", seq=seq_of(at), sent_at=at, **fields)  # type: ignore[arg-type]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    found = Database.open(tmp_path)
    yield found
    found.close()


@pytest.fixture
def reading() -> Iterator[Reading]:
    found = Reading()
    yield found
    found.close()


def parsed(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(data.decode("utf-8-sig"), newline="")))


def collected(db: Database, reading: Reading, wanted: Wanted) -> bytes:
    async def collect() -> bytes:
        return b"".join([part async for part in stream(db, reading, wanted)])

    return asyncio.run(collect())


@pytest.mark.parametrize("sort", Sort)
@pytest.mark.parametrize("search", ["", "state:failure", "name:app.b* -args.0:7", "-no"])
def test_a_file_has_the_tasks_of_the_list_in_its_order(
    db: Database, reading: Reading, sort: Sort, search: str
) -> None:
    some = [
        task(
            number,
            name=f"app.{'abc'[number % 3]}",
            state=TaskState.FAILURE if number % 5 == 0 else TaskState.SUCCESS,
            runtime=None if number % 5 == 0 else float(number % 7),
        )
        for number in range(60)
    ]
    commit(db, Batch(tasks=some))
    filter = parse_filter([("q", search)], time.time())
    shown = [one for one in some if filter.matches(one)]
    if "runtime" in sort:
        shown = [one for one in shown if one.runtime is not None]
    expected = {one.id for one in shown}
    wanted = Wanted(filter=filter, sort=sort, format=Format.JSONL)
    found = [json.loads(line) for line in collected(db, reading, wanted).splitlines()]
    key: Callable[[dict[str, object]], object] = (
        (lambda one: one["runtime_seconds"]) if "runtime" in sort else (lambda one: one["seq"])
    )

    assert {one["id"] for one in found} == expected
    assert len(found) == len(expected)
    in_order = sorted(found, key=key, reverse=sort.startswith("-"))  # type: ignore[arg-type]
    assert [key(one) for one in found] == [key(one) for one in in_order]


def test_a_file_is_read_page_by_page_as_it_is_taken(db: Database, reading: Reading) -> None:
    commit(db, Batch(tasks=[task(number) for number in range(3 * MAX_PAGE + 20)]))
    wanted = Wanted(filter=TaskFilter(), format=Format.JSONL)

    async def take() -> list[tuple[int, int]]:
        taken = []
        async for part in stream(db, reading, wanted):
            taken.append((part.count(b"\n"), db.engine.pool.checkedout()))  # type: ignore[attr-defined]
        return taken

    # Nothing of the store is held between two pages.
    assert asyncio.run(take()) == [(0, 0), *[(MAX_PAGE, 0)] * 3, (20, 0)]


@pytest.mark.parametrize("kind", Format)
def test_a_file_that_was_cut_says_so_and_where_to_go_on(
    db: Database, reading: Reading, kind: Format
) -> None:
    commit(db, Batch(tasks=[task(number) for number in range(30)]))
    wanted = Wanted(filter=TaskFilter(), format=kind, limit=20)
    cut = collected(db, reading, wanted).splitlines()
    found = re.search(rb'(?:cursor=|"next":")([\w-]+)', cut[-1])
    assert found
    following = Wanted(filter=TaskFilter(), format=kind, cursor=found[1].decode())
    rest = collected(db, reading, following).splitlines()
    head = 1 if kind is Format.CSV else 0

    assert b"Cut after 20 tasks" in cut[-1]
    assert len(cut) == head + 20 + 1
    assert len(rest) == head + 10
    exact = collected(db, reading, Wanted(filter=TaskFilter(), format=kind, limit=30))
    assert b"Cut" not in exact


def test_a_file_breaks_where_the_server_stops(db: Database, reading: Reading) -> None:
    commit(db, Batch(tasks=[task(1)]))

    async def take() -> None:
        async for _ in stream(db, reading, Wanted(filter=TaskFilter()), lambda: True):
            pass

    with pytest.raises(Unavailable):
        asyncio.run(take())


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "\uff1d1"])
def test_no_text_is_a_formula(text: str) -> None:
    one = task(1, name=text, exception=text, queue=text, custom_state=text)
    (row,) = parsed(lines([one], Wanted(filter=TaskFilter())))

    assert harmless(text) == "'" + text
    assert row["name"] == row["exception"] == row["queue"] == row["custom_state"] == "'" + text


def test_numbers_and_values_are_exact() -> None:
    values = {"args": f'[{BIG}, "=1"]', "kwargs": '{"名前": "値"}', "result": f"-{BIG}"}
    one = task(1, retries=3, priority=9, runtime=1.25, **values)
    (row,) = parsed(lines([one], Wanted(filter=TaskFilter(), bom=True)))
    line = lines([one], Wanted(filter=TaskFilter(), format=Format.JSONL))

    assert {name: row[name] for name in values} == values
    assert (row["retries"], row["priority"], row["runtime_seconds"]) == ("3", "9", "1.25")
    assert row["worker"] == ""
    assert tuple(row) == FIELDS
    assert BIG.encode() in line
    assert json.loads(line)["kwargs"] == {"名前": "値"}


@pytest.mark.parametrize("kind", Format)
def test_a_file_of_columns_has_their_fields(kind: Format) -> None:
    columns = parse_columns(["ran,details"])
    data = lines([task(1)], Wanted(filter=TaskFilter(), format=kind, columns=columns))
    found = parsed(data)[0] if kind is Format.CSV else json.loads(data)

    assert list(found) == [
        *("id", "name", "args", "args_repr", "kwargs", "kwargs_repr"),
        *("exception", "runtime_seconds"),
    ]


def test_the_page_leads_to_the_file_and_the_file_has_its_tasks(client: httpx.Client) -> None:
    number = time.time_ns()
    wanted = {submit(client, "/tasks/add", {"x": number, "y": y}) for y in range(3)}
    for one in wanted:
        ended(client, one)
    page = client.get("/ui/tasks", params={"q": f"state:success args.x:{number}"}).text
    address = re.search(r'href="(/tasks/export\?format=csv[^"]*columns=[^"]*)"', page)
    assert address
    answer = client.get(address[1].replace("&amp;", "&"))

    assert {row["id"] for row in parsed(answer.content)} == wanted
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert NAME.fullmatch(answer.headers["content-disposition"])
    assert not answer.content.startswith(BOM)
    assert client.get(f"/tasks/export?q={number}&bom=yes").content.startswith(BOM)
    assert client.head("/tasks/export").headers["content-disposition"]


def test_some_tasks_are_exported_by_their_ids(client: httpx.Client) -> None:
    ids = [submit(client, "/tasks/add", {"x": n, "y": n}) for n in range(2)]
    for one in ids:
        ended(client, one)
    answer = client.get("/tasks/export", params={"format": "jsonl", "id": [*ids, "never"]})

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["id"] for line in answer.text.splitlines()] == ids[::-1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("format=xml", "format"),
        ("limit=0", "limit"),
        ("columns=colour", "columns"),
        ("state=HAPPY", "state"),
        ("cursor=x", "cursor"),
        ("id=a&name=b", "id"),
        ("&".join(f"id={n}" for n in range(51)), "id"),
    ],
)
def test_what_is_wrong_is_told_before_a_file_begins(
    client: httpx.Client, query: str, field: str
) -> None:
    answer = client.get(f"/tasks/export?{query}")

    assert answer.status_code == 422
    assert field in answer.json()["errors"][0]["loc"]
