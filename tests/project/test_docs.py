"""What the documents say is what there is."""

import re
from pathlib import Path

import pytest
import typer.main

from app.cli import exits
from app.cli.shell import COMMANDS as NAMES
from app.cli.shell import make_shell
from app.main import create_app
from app.settings import PREFIX, SETTINGS, read_settings
from tests.support import ROOT

DOCS = ROOT / "docs"
COMMANDS = typer.main.get_command(make_shell(*NAMES)).commands  # type: ignore[attr-defined]


def text(name: str) -> str:
    return (ROOT / name).read_text()


def rows(name: str) -> list[list[str]]:
    """The tables of a document, row by row, cell by cell."""
    lines = [line for line in text(name).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_every_setting_is_documented_with_what_is_allowed() -> None:
    table = [row for row in rows("docs/configuration.md") if row[0].startswith(f"`{PREFIX}")]
    documented = {row[0].strip("`"): row for row in table}
    assert sorted(documented) == sorted(PREFIX + name.upper() for name in SETTINGS)
    for name in SETTINGS:
        assert documented[PREFIX + name.upper()][3] == SETTINGS[name].allowed


def test_the_readme_names_no_setting_that_is_not_there() -> None:
    known = {PREFIX + name.upper() for name in SETTINGS} | {"UMBEL_URL"}
    assert set(re.findall(r"UMBEL_[A-Z_]+", text("README.md"))) <= known


def test_every_command_is_documented_and_every_documented_flag_is_there() -> None:
    documented = re.findall(r"^\| `umbel ([a-z-]+)(.*)$", text("docs/cli.md"), re.MULTILINE)
    assert {name for name, _ in documented} == set(COMMANDS)
    for name, row in documented:
        flags = {flag for option in COMMANDS[name].params for flag in option.opts}
        assert set(re.findall(r"--[a-z-]+", row)) <= flags, name


@pytest.mark.parametrize("name", ["README.md", "docs/cli.md"])
def test_every_exit_status_is_documented(name: str) -> None:
    statuses = [value for key, value in vars(exits).items() if key.isupper()]
    for status in statuses:
        assert re.search(rf"(^\| |· |^){status} ", text(name), re.MULTILINE), status


def test_every_route_is_documented() -> None:
    app = create_app(read_settings(broker_url="redis://127.0.0.1:1/0"))
    said = text("docs/api.md")
    paths = app.openapi()["paths"]
    missing = [
        f"{method.upper()} {path}"
        for path, methods in paths.items()
        for method in methods
        if not re.search(_as_documented(method, path), said)
    ]
    assert not missing


def _as_documented(method: str, path: str) -> str:
    # `{task_id}` of the route is `{id}` or `{name}` in the document.
    words = re.escape(path).replace(r"\{", "{").replace(r"\}", "}")
    return rf"{method.upper()}[^|\n]*?{re.sub('{[^}]*}', '{[a-z_]+}', words)}(?![\w/{{])"


@pytest.mark.parametrize(
    "path",
    sorted(ROOT.glob("*.md")) + sorted(DOCS.rglob("*.md")) + [ROOT / "benchmarks" / "README.md"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_link_between_documents_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text())
    assert not [link for link in links if not (path.parent / link).exists()]


def test_the_glossary_has_ten_lines() -> None:
    assert len([row for row in rows("CONTRIBUTING.md") if row[0].startswith("**")]) == 10
