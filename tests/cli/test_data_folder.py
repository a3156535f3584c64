"""One `umbel up` a data folder; whoever asks learns which."""

from pathlib import Path

import pytest

from app.cli.data_folder import DataFolder, Running, running_on
from app.domain.errors import CannotStart

HERE = Running(pid=7, url="http://127.0.0.1:8000", broker_url="redis://127.0.0.1:1/0")


def test_a_second_up_on_a_folder_is_told_of_the_first(tmp_path: Path) -> None:
    first = DataFolder(tmp_path)
    first.take()
    first.tell(HERE)
    with pytest.raises(CannotStart, match=r"already \(process 7, http://127.0.0.1:8000\)"):
        DataFolder(tmp_path).take()
    assert running_on(tmp_path) == HERE


def test_a_released_folder_is_free_and_says_of_nobody(tmp_path: Path) -> None:
    first = DataFolder(tmp_path)
    first.take()
    first.tell(HERE)
    first.release()
    assert running_on(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    DataFolder(tmp_path).take()


def test_what_a_killed_up_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "up.json").write_text('{"pid": 1, "url": "x", "broker_url": "y"}')
    assert running_on(tmp_path) is None
    DataFolder(tmp_path).take()


@pytest.mark.parametrize("path", ["a-file", "a-file/below"])
def test_a_folder_that_can_not_be_written_to_is_one_sentence(tmp_path: Path, path: str) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(CannotStart, match=r"can't be written to .*--data-dir or UMBEL_DATA_DIR"):
        DataFolder(tmp_path / path).take()
