"""What our log says about a mistake of our own."""

import subprocess
import sys

import pytest

FAILING = """
import logging, sys
from app import logs

def fail(argument):
    raise RuntimeError("out of paper")

logs.configure("info", sys.argv[1])
try:
    fail("credit card " + "4" * 16)
except RuntimeError:
    logging.getLogger("app").exception("could not print")
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_logged_error_has_its_traceback_but_nobodys_values(form: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FAILING, form], check=True, capture_output=True, text=True
    )
    assert "could not print" in run.stderr
    assert "in fail" in run.stderr
    assert "out of paper" in run.stderr
    assert "4" * 16 not in run.stderr
