import os
from pathlib import Path

import pytest

from kautopsy.lab.folder import guest_folder


@pytest.fixture(autouse=True)
def _own_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def _age(folder: Path) -> None:
    os.utime(folder, (0, 0))


def test_it_is_gone_with_the_guest(tmp_path: Path) -> None:
    with guest_folder() as folder:
        (folder / "sink").write_bytes(b"x")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_lab_left_is_swept_up_and_a_living_one_is_left_alone(tmp_path: Path) -> None:
    left = tmp_path / "kautopsy-guest-killed"
    left.mkdir()
    (left / "lock").touch()
    young = tmp_path / "kautopsy-guest-young"
    young.mkdir()
    (young / "lock").touch()
    _age(left)
    with guest_folder() as living:
        _age(living)
        with guest_folder():
            assert living.exists()
            assert young.exists()
            assert not left.exists()


def test_a_folder_that_is_none_of_ours_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "kautopsy-guest-notes"
    other.mkdir()
    (other / "text").touch()
    _age(other)
    with guest_folder():
        pass
    assert (other / "text").exists()
