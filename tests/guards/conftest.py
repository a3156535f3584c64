"""A recorder of the test's own, as the recorder's tests have it."""

from tests.recorder.conftest import kind, recording

__all__ = ["kind", "recording"]
