"""The checkout holds what it should: locks without addresses, vendored files as they came."""

import base64
import hashlib
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support import ROOT

VENDORED = (ROOT / "static" / "vendor", ROOT / "tests" / "vendor")
LOCKS = [*(ROOT / "requirements").glob("*.txt"), ROOT / "benchmarks" / "requirements-flower.txt"]


def tracked() -> list[Path]:
    found = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    names = found.stdout.decode().split("\0") if found.returncode == 0 else []
    paths = [ROOT / name for name in names if name]
    return [path for path in paths if path.is_file()] or [
        path for path in ROOT.rglob("*.py") if ".venv" not in path.parts
    ]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_holds_versions_and_hashes_and_no_address(path: Path) -> None:
    lines = [line.strip() for line in path.read_text().splitlines()]
    for line in (line for line in lines if line and not line.startswith("#")):
        assert re.fullmatch(
            r"[\w.-]+(\[[\w,]+\])?==[\w.+!]+( ; [^\\]+)? \\|--hash=sha256:[0-9a-f]{64}( \\)?", line
        )


@pytest.mark.parametrize(("lock", "extra"), [("app.txt", None), ("dev.txt", "dev")])
def test_every_dependency_is_in_the_lock(lock: str, extra: str | None) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(project["optional-dependencies"][extra] if extra else [])]
    locked = set(
        re.findall(r"^([\w.-]+)", (ROOT / "requirements" / lock).read_text(), re.MULTILINE)
    )
    names = {re.split(r"[\[~=<>;! ]", line)[0].lower().replace("_", "-") for line in wanted}
    assert not names - {name.lower() for name in locked}


def test_every_dependency_has_its_reason_written_down() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    said = (ROOT / "docs" / "decisions" / "0002-libraries.md").read_text()
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = [re.split(r"[\[~=<>;! ]", line)[0] for line in wanted]
    plain = {"pytest-asyncio": "asyncio", "pytest-timeout": "timeout", "pytest-xdist": "xdist"}
    assert not [name for name in names if plain.get(name, name) not in said]


@pytest.mark.parametrize("folder", VENDORED, ids=lambda folder: folder.parent.name)
def test_vendored_files_are_as_they_came_and_nothing_else_is_there(folder: Path) -> None:
    listed: set[Path] = {folder / "VENDOR.json"}
    for name, entry in json.loads((folder / "VENDOR.json").read_text()).items():
        assert entry["version"], name
        listed.add(folder / entry["licence_file"])
        for file, checksum in entry["files"].items():
            kind, _, expected = checksum.partition("-")
            digest = hashlib.new(kind, (folder / file).read_bytes()).digest()
            assert base64.b64encode(digest).decode() == expected, file
            listed.add(folder / file)
    found = {path for path in folder.rglob("*") if path.is_file()}
    # Licences that came with a file may lie beside it; they are named in capitals.
    assert {path for path in found if not path.stem.isupper()} == {
        path for path in listed if not path.stem.isupper()
    }
    assert listed <= found


def test_no_file_names_a_place_of_the_machine_it_was_written_on() -> None:
    places = [str(ROOT) + "/", str(Path.home()) + "/"]
    texts = [
        path for path in tracked() if path.suffix in {".py", ".md", ".toml", ".yaml", ".txt", ""}
    ]
    for path in texts:
        said = path.read_text(errors="replace")
        assert not [place for place in places if len(place) > 2 and place in said], path


def test_nothing_is_left_to_do() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b")
    sources = [path for path in tracked() if path.suffix == ".py" and path != Path(__file__)]
    assert not [path for path in sources if marks.search(path.read_text())]


def test_tests_that_share_something_run_in_one_process(request: pytest.FixtureRequest) -> None:
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("only `make test` has several processes")
    assert request.node.nodeid.endswith("@project/test_repository")
