"""What Umbel shows of each task, over REST, and where that is not the truth."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httpx

from tests.chaos.load import Sent
from tests.chaos.truth import Fact
from tests.http import new_client

Shown = dict[str, dict[str, Any]]

PAGE = 500
"""Tasks a page: the most that a page holds."""


def read(url: str) -> Shown | None:
    """Every task's summary by id; None where Umbel does not answer."""
    found: Shown = {}
    cursor: str | None = ""
    with suppress(httpx.HTTPError), new_client(timeout=10) as client:
        while cursor is not None:
            parameters = {"limit": str(PAGE)} | ({"cursor": cursor} if cursor else {})
            answer = client.get(url + "/tasks", params=parameters)
            if answer.status_code != httpx.codes.OK:
                return None
            page = answer.json()
            found |= {task["id"]: task for task in page["tasks"]}
            cursor = page["next"]
        return found
    return None


def mistake(sent: Sent, fact: Fact, shown: Mapping[str, Any] | None) -> str:
    """What is wrong with what Umbel shows of a task; "" for nothing."""
    if shown is None:
        return "" if fact.absent else f"absent, should be {_either(fact)} ({fact.why})"
    if shown["state"] not in fact.states:
        if shown["state"] == "LOST" and not fact.told and fact.states:
            return ""  # counted as unknowable
        return f"{shown['state']}, should be {_either(fact)} ({fact.why})"
    if shown["state"] == "SUCCESS" and fact.final and not _right_result(sent, shown):
        return f"result {shown['result']!r}, {shown['result_repr']!r}"
    return ""


def unknowable(fact: Fact, shown: Mapping[str, Any] | None) -> bool:
    """Its end or even its existence is not shown, and nothing is left to tell it."""
    if fact.told or not fact.states:
        return False
    return shown is None or (shown["state"] == "LOST" and "LOST" not in fact.states)


def is_whole(shown: Mapping[str, Any]) -> bool:
    """Received, started and ended are all known, or it was never to start."""
    if shown["state"] in ("SUCCESS", "FAILURE"):
        return all(shown[each] for each in ("received_at", "started_at", "finished_at"))
    return bool(shown["finished_at"])


def _right_result(sent: Sent, shown: Mapping[str, Any]) -> bool:
    if sent.kind == "silent":
        return True
    return shown["result"] == sent.result or shown["result_repr"] == repr(sent.result)


def _either(fact: Fact) -> str:
    return " or ".join(sorted(fact.states)) or "unknown"
