"""`python -m tests.chaos [FAULT …]`: breaks things, prints what came of it, writes it down."""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.chaos import report
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.trial import Plan, Trial
from tests.chaos.verdict import Verdict

MODES = ("durable", "stock")


def main() -> int:
    """Exit status 0 if everything was as it should be."""
    given = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # everything started is stopped
    print(report.HEAD, report.RULE, sep="\n", flush=True)
    good = True
    for name in given.faults or FAULTS:
        for mode in [given.mode] if given.mode else MODES:
            good &= _run(FAULTS[name], mode, given)
    if not given.dry:
        report.write_table()
    return 0 if good else 1


def _run(fault: Fault, mode: str, given: argparse.Namespace) -> bool:
    if missing := fault.missing():
        print(f"{fault.name}: not run, {missing}", flush=True)
        return True
    plan = Plan(
        mode=mode,
        database=fault.database or given.database,
        moments=given.moments,
        short=given.short,
        seed=given.seed,
    )
    folder = Path(tempfile.mkdtemp(prefix=f"umbel-chaos-{fault.name}-"))
    began = time.monotonic()
    try:
        verdict = Trial(fault, plan, folder).run()
    except Exception:
        traceback.print_exc()
        print(f"{fault.name}, {mode}: failed; logs are in {folder}", flush=True)
        return False
    _say(verdict, folder, time.monotonic() - began)
    if not given.dry:
        report.keep(verdict)
    if verdict.good and not given.keep:
        shutil.rmtree(folder)
    return verdict.good


def _say(verdict: Verdict, folder: Path, seconds: float) -> None:
    print(report.row(vars(verdict)), f"{seconds:.0f} s", verdict.measured, flush=True)
    for line in verdict.details + [f"shown wrongly: {each}" for each in verdict.slowest]:
        print("   ", line, flush=True)
    if not verdict.good:
        print(f"    logs are in {folder}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("faults", nargs="*", choices=[[], *FAULTS], default=[])
    parser.add_argument("--moments", type=int, default=50, help="of faults at random moments")
    parser.add_argument("--mode", choices=MODES, help="workers with the plugin, or without")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--short", action="store_true", help="outages of a few seconds")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--keep", action="store_true", help="keep the logs")
    parser.add_argument("--dry", action="store_true", help="write no results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
