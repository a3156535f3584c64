"""Tasks, sent all the time in two ways, and what their sender knows of each."""

import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from celery import Celery

import umbel_worker
from tests.http import new_client

PAUSE = 0.06
"""Seconds between two tasks of one sender: below what two small workers run."""
PROMISE_SECONDS = 60.0
"""How long a sender repeats a request that was not answered, under one Idempotency-Key."""
LATER = 4.0
"""Seconds ahead of those with an ETA; a revoke in between has to hold."""


@dataclass(slots=True)
class Sent:
    """One task, as its sender knows it.

    `accepted`: True when it was promised to run, False when it was refused for certain, None when
    nobody said. `revoked_at`: when its revoke was accepted, by the monotonic clock.
    """

    id: str
    kind: str
    number: int
    way: str
    at: float
    accepted: bool | None = None
    revoked_at: float | None = None
    note: str = ""

    @property
    def result(self) -> object:
        """What it has to return, if it succeeds."""
        return self.number * 2


Options = dict[str, Any]


class Load:
    """Sends through Celery's own client, straight to Redis, and through Umbel's REST."""

    def __init__(self, redis_url: str, urls: list[str], mode: str, seed: int) -> None:
        self.sent: dict[str, Sent] = {}
        self._urls = urls
        self._silent = mode == "durable"
        self._seed = seed
        self._app = sender(redis_url)
        if mode == "durable":
            umbel_worker.install(self._app, redis_url=redis_url, catalog=False, revokes=False)
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(way, seed + place), daemon=True)
            for place, way in enumerate((self._by_celery, self._by_rest))
        ]
        self.failures: list[BaseException] = []

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Begins no more tasks; those under way are seen to their end."""
        self._ending.set()

    @property
    def ended(self) -> bool:
        """Every request has its answer. Raises what went wrong."""
        if self.failures:
            raise self.failures[0]
        return self._ending.is_set() and not any(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Ends it, whatever is under way."""
        self.end()
        for thread in self._threads:
            thread.join(PROMISE_SECONDS + 30)
        self._app.close()

    def _work(self, send: Callable[[random.Random, httpx.Client], None], seed: int) -> None:
        choose = random.Random(seed)
        with new_client(timeout=8) as client:
            try:
                while not self._ending.wait(PAUSE):
                    send(choose, client)
            except BaseException as error:  # told to whoever waits for us
                self.failures.append(error)

    def _next(self, kind: str, way: str) -> Sent:
        sent = Sent(str(uuid.uuid4()), kind, len(self.sent) + 1, way, time.time())
        self.sent[sent.id] = sent
        return sent

    def _by_celery(self, choose: random.Random, _: httpx.Client) -> None:
        kinds = ["quick", "fails", "retries", "sleeps", "later", "expired"]
        [kind] = choose.choices(kinds, [60, 10, 10, 5, 5, 2])
        sent = self._next(kind, "celery")
        name, args, options = message(sent, choose)
        if kind == "later":
            options["countdown"] = LATER
        try:
            # A second try of Celery's could send it twice; so there is none.
            self._app.send_task(name, args, task_id=sent.id, retry=False, **options)
        except Exception as error:  # whatever the transport raises while Redis is away
            sent.note = repr(error)[:200]
        else:
            sent.accepted = True

    def _by_rest(self, choose: random.Random, client: httpx.Client) -> None:
        kinds = ["quick", "revoked"] + ["silent"] * self._silent
        [kind] = choose.choices(kinds, [70, 10, 20][: len(kinds)])
        sent = self._next(kind, "rest")
        name, args, options = message(sent, choose)
        body = {"name": name, "args": args, "task_id": sent.id, **options}
        if kind == "revoked":
            body["countdown"] = LATER
        sent.accepted = self._insist(client, choose, sent, body)
        if kind == "revoked" and sent.accepted:
            self._revoke(client, choose, sent)

    def _insist(
        self, client: httpx.Client, choose: random.Random, sent: Sent, body: Options
    ) -> bool | None:
        """Asks until somebody promises; the key has it sent once. False: refused, and left so."""
        deadline = time.monotonic() + PROMISE_SECONDS
        gives_up = choose.random() < 0.5
        unanswered = False
        while time.monotonic() < deadline:
            url = choose.choice(self._urls) + "/tasks"
            try:
                answer = client.post(url, json=body, headers={"Idempotency-Key": sent.id})
            except httpx.ConnectError:
                pass  # nobody was there to hear it
            except httpx.HTTPError as error:
                unanswered = True
                sent.note = repr(error)[:200]
            else:
                if answer.status_code == 202:
                    return True
                sent.note = f"{answer.status_code} {answer.text[:150]}"
                if answer.status_code != 503:
                    return False
                if gives_up and not unanswered:
                    return False  # "Nothing was sent, and nothing will be"
            time.sleep(0.2)
        return None

    def _revoke(self, client: httpx.Client, choose: random.Random, sent: Sent) -> None:
        due = time.monotonic() + LATER - 1.5
        while time.monotonic() < due:
            url = f"{choose.choice(self._urls)}/tasks/{sent.id}"
            try:
                if client.delete(url).status_code == httpx.codes.ACCEPTED:
                    sent.revoked_at = time.monotonic()
                    return
            except httpx.HTTPError as error:
                sent.note = repr(error)[:200]
            time.sleep(0.1)


def message(sent: Sent, choose: random.Random) -> tuple[str, list[object], Options]:
    """Name, arguments and options of a task of that kind."""
    name = sent.kind if sent.kind in ("fails", "retries", "sleeps", "silent") else "quick"
    args: list[object] = [sent.number]
    if name == "sleeps":
        args.append(round(choose.uniform(0.5, 2.0), 2))
    if sent.kind == "expired":
        return f"chaos.{name}", args, {"expires": datetime.now(UTC) - timedelta(minutes=1)}
    return f"chaos.{name}", args, {}


def sender(redis_url: str) -> Celery:
    """A Celery client that sends, keeps no results, and hands nobody's messages out again."""
    app = Celery("sender", broker=redis_url, backend="disabled://", set_as_current=False)
    app.conf.update(
        task_send_sent_event=True,
        broker_transport_options={"unacked_restore_limit": 0},
    )
    return app
