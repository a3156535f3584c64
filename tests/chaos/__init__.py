"""Breaks one thing at a time under real tasks, and compares Umbel with the truth afterwards.

`make chaos` runs all of it; `python -m tests.chaos FAULT …` some of it. The truth never comes from
Umbel: it is what the tasks themselves wrote into a file, what the result backend and the queues
hold, and what was promised to whoever submitted.
"""

LOG = "CHAOS_LOG"
"""Environment variable: the file that every run of a task is written to. It stands here and not
with the tasks, which would register with every Celery application of whoever imports them."""
