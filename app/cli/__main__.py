"""`python -m app.cli`: how one command of Umbel starts another, whatever PATH says."""

from app.cli import main

main()
