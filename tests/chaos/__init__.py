"""Breaks one thing at a time under real tasks, and compares Umbel with the truth afterwards.

`make chaos` runs all of it; `python -m tests.chaos FAULT …` some of it. The truth never comes from
Umbel: it is what the tasks themselves wrote into a file, what the result backend and the queues
hold, and what was promised to whoever submitted.
"""
