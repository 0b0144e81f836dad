from pathlib import Path

import pytest

from kautopsy.model.errors import UnreadableError
from kautopsy.symbols.source import SourceTree, render


@pytest.fixture
def tree(tmp_path: Path) -> SourceTree:
    (tmp_path / "linux" / "fs").mkdir(parents=True)
    (tmp_path / "linux" / "fs" / "bio.c").write_text("".join(f"line {n}\n" for n in range(1, 101)))
    (tmp_path / "secret").write_text("key\n")
    return SourceTree(tmp_path / "linux")


def test_ten_lines_as_gdb_lists_them(tree: SourceTree) -> None:
    lines = tree.around("fs/bio.c", 50)
    assert [line.number for line in lines] == list(range(45, 55))
    assert [line.number for line in lines if line.marked] == [50]
    assert render(lines).splitlines()[4:6] == [" 49\tline 49", ">50\tline 50"]


def test_at_the_ends_of_a_file(tree: SourceTree) -> None:
    assert [line.number for line in tree.around("fs/bio.c", 2)] == list(range(1, 11))
    assert [line.number for line in tree.around("fs/bio.c", 100)] == list(range(95, 101))
    assert tree.around("fs/bio.c", 101) == []
    assert tree.around("fs/bio.c", 0) == []


def test_the_builders_directories_are_dropped(tree: SourceTree) -> None:
    path = tree.find("/build/reproducible-path/linux-6.1.192/fs/bio.c")
    assert path is not None
    assert path == tree.find("fs/bio.c") == tree.find("./fs/bio.c")


@pytest.mark.parametrize("file", ["../secret", "fs/../../secret", "/etc/passwd", "", "fs"])
def test_nothing_outside_the_tree_is_shown(tree: SourceTree, file: str) -> None:
    assert tree.find(file) is None


def test_a_link_out_of_the_tree_is_not_followed(tree: SourceTree, tmp_path: Path) -> None:
    (tmp_path / "linux" / "link.c").symlink_to(tmp_path / "secret")
    assert tree.around("link.c", 1) == []


def test_a_tree_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="no-source"):
        SourceTree(tmp_path / "absent")
