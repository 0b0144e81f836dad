"""What lies at a path, and small changes: the same of a tree, of this machine, and over ssh."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kautopsy.host.host import Host, RunResult
from kautopsy.host.local import LocalHost
from kautopsy.host.paths import PathKind, PathState, ShellPaths
from kautopsy.host.ssh import SshHost
from kautopsy.host.tree import TreeHost
from kautopsy.model.errors import UnreadableError, UsageError

from .sshd import SSHD, serve


class _Busybox(ShellPaths):
    """A machine whose only shell and tools are busybox's."""

    name = "busybox"

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> RunResult:
        assert argv[0] == "sh"
        done = subprocess.run(
            ["busybox", "sh", *argv[1:]], input=stdin, capture_output=True, check=False
        )
        return RunResult(done.returncode, done.stdout, done.stderr)


@pytest.fixture(
    params=["tree", "local", "shell", "busybox", pytest.param("ssh", marks=pytest.mark.slow)]
)
def place(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ShellPaths | Host, str, Path]]:
    """A host, the folder's name there, and the folder here."""
    match request.param:
        case "tree":
            (tmp_path / "tree").mkdir()
            yield TreeHost(tmp_path), "/tree", tmp_path / "tree"
        case "local":
            yield LocalHost(), str(tmp_path), tmp_path
        case "shell":
            # As a user with sudo has it: everything by sh.
            host = LocalHost()
            host.read = super(LocalHost, host).read  # type: ignore[method-assign]
            host.write = super(LocalHost, host).write  # type: ignore[method-assign]
            yield host, str(tmp_path), tmp_path
        case "busybox":
            if shutil.which("busybox") is None:
                pytest.skip("no busybox here")
            yield _Busybox(), str(tmp_path), tmp_path
        case _:
            if SSHD is None:
                pytest.skip("no sshd here")
            with serve(tmp_path_factory.mktemp("sshd")) as server:
                server.know()
                with SshHost(server.name, options=server.options) as reached:
                    yield reached, str(tmp_path), tmp_path


def test_paths(place: tuple[Host, str, Path]) -> None:
    host, base, here = place
    odd = f"{base}/it's $(x) `y` *\\é"
    assert host.look(odd).kind is PathKind.ABSENT
    host.write(odd, b"\0\xff\n", mode=0o600)
    assert host.look(odd) == PathState(PathKind.FILE, 0o600)
    assert host.read(odd) == b"\0\xff\n"
    host.write(odd, b"new")
    assert host.look(odd) == PathState(PathKind.FILE, 0o600), "the mode stays"
    host.write(odd, b"new", mode=0o444)
    assert host.look(odd) == PathState(PathKind.FILE, 0o444)
    host.link(f"{base}/link", "./no where\n")
    assert host.look(f"{base}/link") == PathState(PathKind.LINK, 0, "./no where\n")
    host.link(f"{base}/link", "/dev/null")
    assert host.look(f"{base}/link").target == "/dev/null"
    host.make_folder(f"{base}/folder", 0o700)
    assert host.look(f"{base}/folder") == PathState(PathKind.FOLDER, 0o700)
    for name in ("b.conf", "a.conf", "a b.conf", ".hidden.conf"):
        host.write(f"{base}/folder/{name}", b"")
    assert host.look(f"{base}/folder/a.conf").mode == 0o644
    found = host.expand(f"{base}/f*r/*.conf")
    assert sorted(found) == [f"{base}/folder/{n}" for n in ("a b.conf", "a.conf", "b.conf")]
    assert host.expand(f"{base}/folder/.h*") == (f"{base}/folder/.hidden.conf",)
    assert host.expand(f"{base}/none*") == ()
    assert host.expand(f"{base}/link") == (f"{base}/link",)
    with pytest.raises(UnreadableError):
        host.remove(f"{base}/folder")
    for name in ("b.conf", "a.conf", "a b.conf", ".hidden.conf"):
        host.remove(f"{base}/folder/{name}")
    host.remove(f"{base}/folder")
    host.remove(f"{base}/folder")
    host.remove(f"{base}/link")
    host.remove(odd)
    host.remove(f"{base}/not/there")
    assert [p.name for p in here.iterdir()] == []
    with pytest.raises(UnreadableError) as caught:
        host.read(f"{base}/gone")
    assert caught.value.slug == "no-file"
    with pytest.raises(UnreadableError) as caught:
        host.make_folder(f"{base}/not/there", 0o755)
    assert caught.value.slug == "not-written"


def test_relative_paths_are_nobodys(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        LocalHost().look("etc/passwd")


def test_a_trees_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    root = tmp_path / "root"
    root.mkdir()
    host = TreeHost(root)
    host.link("/link", str(outside))
    assert host.look("/link").kind is PathKind.LINK
    host.remove("/link")
    assert outside.read_text() == "precious"
    host.link("/up", "../..")
    host.write("/up/file", b"inside")
    assert (root / "file").read_bytes() == b"inside"
