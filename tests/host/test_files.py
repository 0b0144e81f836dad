"""Files replaced at once, with all that belongs to them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kautopsy.host.local import LocalHost
from kautopsy.host.target import open_host
from kautopsy.host.tree import TreeHost
from kautopsy.model.errors import (
    MissingToolError,
    RefusedError,
    UnreachableError,
    UnreadableError,
    UsageError,
)


def test_owner_mode_and_attributes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "kdump.conf"
    path.write_text("old")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12, 34)
    try:
        os.setxattr(path, "user.note", b"mine")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    before, old = path.stat(), path.open()
    LocalHost().write(str(path), b"new\0\xff")
    after = path.stat()
    assert path.read_bytes() == b"new\0\xff"
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert os.getxattr(path, "user.note") == b"mine"
    with old:
        # Whoever has it open reads the old file to its end: it was replaced, not changed.
        assert old.read() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["kdump.conf"]


def test_a_new_file_can_be_read_by_all_and_a_link_stays(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    LocalHost().write(str(tmp_path / "link"), b"1")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"1"
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o644


def test_what_cannot_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(UnreadableError) as caught:
        LocalHost().write(str(folder), b"1")
    assert caught.value.slug == "not-written"
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(UnreadableError, match="cannot be written"):
        LocalHost().write(str(tmp_path / "none" / "file"), b"1")


def test_missing_files_programs_and_time() -> None:
    host = LocalHost()
    with pytest.raises(UnreadableError) as caught:
        host.read("/nonexistent/file")
    assert caught.value.slug == "no-file"
    with pytest.raises(MissingToolError):
        host.run(["/nonexistent/program"])
    with pytest.raises(UnreachableError) as late:
        host.run(["sleep", "30"], timeout=0.2)
    assert late.value.slug == "timed-out"
    done = host.run(["sh", "-c", 'cat; echo "$1" >&2; exit 3', "sh", "a'b c"], stdin=b"in")
    assert (done.status, done.stdout, done.complaint) == (3, b"in", "a'b c")


def test_a_trees_links_stay_in_the_tree(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "usr/lib").mkdir(parents=True)
    (root / "usr/lib/os-release").write_text("ID=inside")
    (tmp_path / "secret").write_text("outside")
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    (root / "etc/absolute").symlink_to("/usr/lib/os-release")
    (root / "etc/up").symlink_to("../../../../secret")
    (root / "lib").symlink_to("/usr/lib")
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    tree = TreeHost(root)
    for path in (
        "/etc/os-release",
        "/etc/absolute",
        "/lib/os-release",
        "/../../usr/lib/os-release",
    ):
        assert tree.read(path) == b"ID=inside"
    with pytest.raises(UnreadableError):
        tree.read("/etc/up")
    with pytest.raises(UnreadableError, match="circles"):
        tree.read("/a")
    tree.write("/etc/absolute", b"ID=new")
    assert (root / "usr/lib/os-release").read_text() == "ID=new"
    assert (root / "etc/absolute").is_symlink()
    with pytest.raises(RefusedError):
        tree.run(["true"])


def test_what_a_user_may_write_for_a_machine(tmp_path: Path) -> None:
    with open_host("local") as host:
        assert isinstance(host, LocalHost)
    with open_host(f"tree:{tmp_path}") as host:
        assert isinstance(host, TreeHost)
    for wrong in (f"tree:{tmp_path}/none", "-oProxyCommand=touch /tmp/x", "a b", "", "u@-x"):
        with pytest.raises(UsageError), open_host(wrong):
            pass
