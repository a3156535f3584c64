"""Links to elsewhere: filled in safely, and refused at the start where they are not safe."""

import pytest

from app.domain.errors import BadSetting
from app.domain.links import FIELDS, LINKS_LIMIT, STEP, read_links
from app.domain.tasks import Task, TaskState
from app.settings import read_settings
from tests.support import ROOT

NOON = 1_790_000_000.0


def task(**changes: object) -> Task:
    found = Task(
        id="a b/ü",
        name="shop.mail",
        state=TaskState.SUCCESS,
        sent_at=NOON,
        started_at=NOON + 1.5,
        finished_at=NOON + 2.25,
    )
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def test_fields_are_percent_encoded_into_the_address() -> None:
    links = read_links(
        "Logs=https://logs.example/?q={task_id}&from={started}&to={ended} ;"
        " Sentry = https://sentry.example/{name}#{started_ms}-{ended_ms};"
    )

    assert links.of(task()) == [
        (
            "Logs",
            "https://logs.example/?q=a%20b%2F%C3%BC&from=2026-09-21T14%3A13%3A21.500Z"
            "&to=2026-09-21T14%3A13%3A22.250Z",
        ),
        ("Sentry", "https://sentry.example/shop.mail#1790000001500-1790000002250"),
    ]


def test_a_hostile_name_stays_within_its_part_of_the_address() -> None:
    [(_, address)] = read_links("L=https://a.example/{name}").of(task(name="/../?x=1&y#z\ud800"))

    assert address == "https://a.example/%2F..%2F%3Fx%3D1%26y%23z%3F"


def test_a_task_that_goes_on_is_looked_for_until_the_end_of_the_hour() -> None:
    running = task(state=TaskState.STARTED, finished_at=None)
    links = read_links("L=https://a.example/{ended_ms}")
    hour = (NOON // STEP + 1) * STEP

    assert links.of(running, NOON + 5) == links.of(running, NOON + 900)
    assert links.of(running, NOON + 5) == [("L", f"https://a.example/{int(hour * 1000)}")]


def test_what_is_not_known_is_empty_and_times_go_back_to_what_is() -> None:
    links = read_links("L=https://a.example/?w={worker}&s={started_ms}&r={root_id}")
    [(_, address)] = links.of(task(started_at=None))

    assert address == f"https://a.example/?w=&s={int(NOON * 1000)}&r=a%20b%2F%C3%BC"


@pytest.mark.parametrize("moment", [float("inf"), float("nan"), -5.0, 1e30])
def test_no_time_is_too_odd_for_a_link(moment: float) -> None:
    odd = task(sent_at=moment, started_at=moment, finished_at=moment)
    links = read_links("L=https://a.example/{sent}{started}{ended}{sent_ms}")

    assert len(links.of(odd)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Logs=javascript:alert(1)",
        "Logs=data:text/html,x",
        "Logs=file:///etc/passwd",
        "Logs=//logs.example/",
        "Logs=/relative",
        "Logs=https://{name}/",
        "Logs=https://logs.{queue}.example/x",
        "Logs=https://user:{task_id}@logs.example/",
        "Logs=https://logs.example/{nothing}",
        "Logs=https://logs.example/ x",
        'Logs=https://logs.example/"x',
        "Logs=https://logs.example/\nx",
        "https://logs.example/",
        "=https://logs.example/",
        "Logs=",
        "A=https://a.example;A=https://b.example",
        "x" * 41 + "=https://a.example",
        ";".join(f"L{n}=https://a.example" for n in range(LINKS_LIMIT + 1)),
        "Logs=https://a.example;Evil=javascript:x",
    ],
)
def test_an_unsafe_or_mistaken_link_stops_the_start_with_one_sentence(text: str) -> None:
    with pytest.raises(BadSetting) as refused:
        read_settings(broker_url="redis://127.0.0.1:1/0", links=text)

    said = str(refused.value)
    assert said.startswith("UMBEL_LINKS is ")
    assert said.endswith(".")


def test_a_setting_is_told_to_child_processes_as_it_was_given() -> None:
    text = "Logs=https://logs.example/?q={task_id}; Sentry=https://s.example"

    settings = read_settings(broker_url="redis://127.0.0.1:1/0", links=text)

    assert settings.environment()["UMBEL_LINKS"] == text


def test_every_field_is_documented() -> None:
    said = (ROOT / "docs" / "task.md").read_text()

    assert [name for name in FIELDS if f"`{{{name}}}`" not in said] == []
