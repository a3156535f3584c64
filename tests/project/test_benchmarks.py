"""The published figures are those of the files beside them."""

import json

from benchmarks import plots, report, sizing, tables


def test_the_tables_and_plots_show_the_results_on_file() -> None:
    on_file = {path.stem: path for path in report.RESULTS.glob("*.json")}
    shown = report.README.read_text()
    for name, path in on_file.items():
        document = json.loads(path.read_text())
        lines = tables.section(document, f"plots/{name}.svg")
        assert "\n".join(lines) in shown, f"{name} was measured, and the tables were not written"
        assert (plots.FOLDER / f"{name}.svg").read_text() == plots.draw(document) + "\n"


def test_what_a_load_takes_follows_from_what_is_measured() -> None:
    text = sizing.DOCUMENT.read_text()
    assert sizing.BEGIN in text
    assert sizing.END in text
    path = report.RESULTS / "scaling.json"
    if path.exists():
        assert "\n".join(sizing.lines(json.loads(path.read_text()))) in text


def test_an_aim_is_met_beyond_what_must_be() -> None:
    fast = report.Target("rate", 9.0, "times", at_least=6, aim=10)
    assert (fast.met, fast.aim_met) == (True, False)
    slow = report.Target("p99", 100.0, "ms", at_most=300, aim=150)
    assert (slow.met, slow.aim_met) == (True, True)
