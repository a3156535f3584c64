"""Workers as a fleet: which are listed, in which order, how busy they are together and by host."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from app.domain.errors import BadInput, FieldError
from app.domain.workers import Worker, WorkerState

LISTED = 50
"""Workers on one page of the list: what a browser morphs each second without anybody noticing."""
HOSTS = 24
"""Hosts that are summed up; the others are found through their workers."""
FEW = 8
"""Workers that are seen at a glance: nobody needs them summed up by host."""
USUAL_SORT = "busy"
_FIRST = {WorkerState.LOST: 0, WorkerState.ONLINE: 1, WorkerState.OFFLINE: 2}


def _share(worker: Worker) -> float:
    return (worker.active or 0) / worker.concurrency if worker.concurrency else 0.0


SORTS: Mapping[str, Callable[[Worker], Any]] = {
    "busy": lambda worker: (_FIRST[worker.state], -_share(worker), -(worker.active or 0)),
    "name": lambda worker: 0,
    "heartbeat": lambda worker: (_FIRST[worker.state], worker.heard_at),
}
"""The lost ones first, then the busiest, or those that were silent for the longest; by name where
that is the same."""


class Choice(NamedTuple):
    """Which workers, in which order, and which page of them, as an address says it."""

    sort: str = USUAL_SORT
    state: str = ""
    host: str = ""
    queue: str = ""
    page: int = 1

    @property
    def query(self) -> str:
        """`sort=name&host=web-1`; "" for all of them as usual."""
        usual = Choice()._asdict()
        given = {key: value for key, value in self._asdict().items() if value != usual[key]}
        return urlencode(given)

    @property
    def narrowed(self) -> bool:
        """Whether not all workers are meant."""
        return bool(self.state or self.host or self.queue)

    def address(self, **other: object) -> str:
        """The page with another choice; it begins with its first workers then."""
        query = self._replace(**{"page": 1, **other}).query  # type: ignore[arg-type]
        return f"/ui/workers?{query}" if query else "/ui/workers"

    def takes(self, worker: Worker) -> bool:
        """Whether a worker is meant."""
        return (
            (not self.state or worker.state.value == self.state)
            and (not self.host or worker.host == self.host)
            and (not self.queue or self.queue in (worker.queues or ()))
        )


@dataclass(frozen=True, slots=True)
class Load:
    """How many workers there are, and how many of the slots of those online are taken. `untold`
    are online and did not say."""

    online: int
    lost: int
    offline: int
    busy: int
    slots: int
    untold: int

    @property
    def share(self) -> float | None:
        """Of 1; None where nobody said."""
        return min(1.0, self.busy / self.slots) if self.slots else None


@dataclass(frozen=True, slots=True)
class Host:
    """One machine: what its workers do, and its load average, which any of them tells."""

    name: str
    load: Load
    loadavg: float | None


class Listed(NamedTuple):
    """The workers of one page, and how many there are in all that are meant."""

    workers: tuple[Worker, ...]
    total: int
    first: int
    pages: int


def choice_of(pairs: Iterable[tuple[str, str]]) -> Choice:
    """What an address chooses. Raises BadInput."""
    given = {key: value for key, value in pairs if key in Choice._fields and value != ""}
    allowed = {"sort": tuple(SORTS), "state": tuple(state.value for state in WorkerState)}
    if "state" in given:
        given["state"] = given["state"].upper()
    for key, values in allowed.items():
        if key in given and given[key] not in values:
            words = f"{given[key][:100]!r} is not one of {', '.join(values)}"
            raise BadInput(
                "There is no such list of workers.", (FieldError(("query", key), words),)
            )
    page = given.pop("page", "1")
    if not (page.isascii() and page.isdigit() and 0 < int(page[:9]) < 10**6):
        words = f"{page[:60]!r} is not a number from 1 on"
        raise BadInput("There is no such list of workers.", (FieldError(("query", "page"), words),))
    return Choice(**given, page=int(page))


def list_of(workers: Iterable[Worker], choice: Choice) -> Listed:
    """The page of the list that is meant; its last where there are not so many."""
    key = SORTS[choice.sort]
    meant = sorted(filter(choice.takes, workers), key=lambda worker: (key(worker), worker.name))
    pages = max(1, -(-len(meant) // LISTED))
    first = (min(choice.page, pages) - 1) * LISTED
    return Listed(tuple(meant[first : first + LISTED]), len(meant), first, pages)


def load_of(workers: Iterable[Worker]) -> Load:
    """What they do together."""
    states: Counter[WorkerState] = Counter()
    busy = slots = untold = 0
    for worker in workers:
        states[worker.state] += 1
        if worker.state is not WorkerState.ONLINE:
            continue
        if worker.active is None or not worker.concurrency:
            untold += 1
            continue
        busy += worker.active
        slots += worker.concurrency
    online, lost, offline = (
        states[state] for state in (WorkerState.ONLINE, WorkerState.LOST, WorkerState.OFFLINE)
    )
    return Load(online, lost, offline, busy, slots, untold)


def hosts_of(workers: Sequence[Worker]) -> tuple[Host, ...]:
    """Machines with several workers, those with lost ones first and then the busiest; none where
    there are few workers, or one on each."""
    by_host: dict[str, list[Worker]] = {}
    for worker in workers:
        by_host.setdefault(worker.host, []).append(worker)
    if len(workers) <= FEW or len(by_host) < 2 or len(by_host) * 2 > len(workers):
        return ()
    found = [_host(name, there) for name, there in by_host.items()]
    found.sort(key=lambda host: (not host.load.lost, -(host.load.share or 0), host.name))
    return tuple(found)


def _host(name: str, workers: Sequence[Worker]) -> Host:
    told = [each for each in workers if each.state is WorkerState.ONLINE and each.loadavg]
    latest = max(told, key=lambda worker: worker.heard_at, default=None)
    return Host(name, load_of(workers), latest.loadavg[0] if latest else None)


def versions_of(workers: Iterable[Worker]) -> tuple[tuple[str, int], ...]:
    """The software of those online, what most have first."""
    online = (worker for worker in workers if worker.state is WorkerState.ONLINE)
    return tuple(Counter(software_of(worker) or "" for worker in online).most_common())


def software_of(worker: Worker) -> str | None:
    """`Celery 5.7.0` of what a worker calls itself, `py-celery 5.7.0 Linux`; else what it says."""
    words = list(_words(worker.software))
    return (
        f"Celery {words[1]}" if words[:1] == ["py-celery"] and len(words) > 1 else worker.software
    )


def system_of(worker: Worker) -> str | None:
    """`Linux` of the same; None where it does not say."""
    words = list(_words(worker.software))
    return " ".join(words[2:]) or None if words[:1] == ["py-celery"] else None


def has_plugin(worker: Worker) -> bool:
    """Whether it tells the signatures of its tasks, as only workers with the plugin do."""
    return any(document is not None for _, document in worker.catalog or ())


def _words(software: str | None) -> Iterator[str]:
    yield from (software or "").split()
