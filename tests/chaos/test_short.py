"""The fault suite in a few seconds each: what is broken every time that the tests run."""

from pathlib import Path

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.trial import Plan, Trial

SHORT = [("recorder-killed", "durable", 2), ("subscriber-dropped", "stock", 1)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "mode", "moments"), SHORT, ids=lambda value: str(value))
def test_umbel_is_right_again_after(name: str, mode: str, moments: int, tmp_path: Path) -> None:
    plan = Plan(mode=mode, moments=moments, short=True)
    verdict = Trial(FAULTS[name], plan, tmp_path).run()
    assert verdict.good, "\n".join(verdict.details)
    assert verdict.tasks > 30
