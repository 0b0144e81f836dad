import subprocess
from pathlib import Path

import pytest

from kautopsy.lab import kernels
from kautopsy.lab.errors import NoKernelError
from kautopsy.lab.kernels import cached_kernel, extract_vmlinux, fetch_kernel


def _deb(folder: Path, *files: tuple[str, bytes | str]) -> Path:
    """A package with files; a string is a link's target."""
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: t\nVersion: 1\nArchitecture: amd64\nMaintainer: t <t@example.org>\n"
        "Description: t\n"
    )
    for name, content in files:
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)
    deb = folder / "t.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(deb)],
        check=True,
        capture_output=True,
    )
    return deb


def test_vmlinux_in_boot(tmp_path: Path) -> None:
    deb = _deb(
        tmp_path,
        ("usr/lib/debug/boot/vmlinux-6.1.0-50", b"ELF" * 1000),
        ("usr/lib/debug/lib/modules/6.1.0-50/kernel/a.ko", b"module"),
    )
    extract_vmlinux(deb, "6.1.0-50", tmp_path / "vmlinux")
    assert (tmp_path / "vmlinux").read_bytes() == b"ELF" * 1000


def test_vmlinux_behind_a_link(tmp_path: Path) -> None:
    deb = _deb(
        tmp_path,
        ("usr/lib/debug/boot/vmlinux-7.2.13", "../lib/modules/7.2.13/vmlinux"),
        ("usr/lib/debug/lib/modules/7.2.13/vmlinux", b"the file"),
    )
    extract_vmlinux(deb, "7.2.13", tmp_path / "vmlinux")
    assert (tmp_path / "vmlinux").read_bytes() == b"the file"


def test_no_vmlinux_leaves_nothing(tmp_path: Path) -> None:
    deb = _deb(tmp_path, ("usr/lib/debug/boot/vmlinux-6.1.0-49", b"another"))
    with pytest.raises(NoKernelError):
        extract_vmlinux(deb, "6.1.0-50", tmp_path / "vmlinux")
    assert not list(tmp_path.glob("*vmlinux*"))


def test_what_is_cached_is_found_without_any_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cached_kernel("6.12") is None
    root = tmp_path / "kautopsy/lab/kernels/6.12"
    (root / "boot").mkdir(parents=True)
    (root / "boot/vmlinuz-6.12.1").write_bytes(b"")
    (root / "kernel.json").write_text(
        '{"release": "6.12.1", "package": "linux-image-6.12.1", "version": "6.12.1-1"}'
    )
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(kernels, "_fetch", lambda series: pytest.fail("went to the network"))
    kernel = fetch_kernel("6.12")
    assert (kernel.release, kernel.series.suite) == ("6.12.1", "trixie")
    assert kernel.vmlinuz == root / "boot/vmlinuz-6.12.1"
    assert kernel.cached_vmlinux is None
