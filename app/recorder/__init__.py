"""The only writer of task truth: hears, believes, keeps, announces. A process of its own."""

from app.recorder.recorder import Recorder, record

__all__ = ["Recorder", "record"]
