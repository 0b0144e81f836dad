"""arm on machines that nobody had in mind; judged by sh and by looking, not by our own readers."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from kautopsy.cli.main import main

from .trees import state_of
from .unseen import UNSEEN, Files, xen

pytestmark = pytest.mark.slow

_BASH_ONLY = ("el9_added_to",)


def _make(root: Path, files: Files) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("->"):
            path.symlink_to(text[2:])
        else:
            path.write_bytes(text.encode())


def _plan(root: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, list[dict[str, str]]]:
    capsys.readouterr()
    assert main(["arm", f"tree:{root}", "--json"]) == 0
    plan: dict[str, list[dict[str, str]]] = json.loads(capsys.readouterr().out)
    return plan


def _asked(words: str) -> list[str]:
    return re.findall(r"(?<![\w-])crashkernel=([^\s\"']+)", words)


def _other_words(words: str) -> list[str]:
    return [word for word in words.split() if not word.startswith("crashkernel=")]


def _as_sh_reads(root: Path, shell: str) -> str:
    """What grub-mkconfig would make of the templates: it sources them, one after the other."""
    folder = sorted(p.name for p in (root / "etc/default/grub.d").glob("*.cfg"))
    script = "".join(f". ./{p}\n" for p in ("grub", *(f"grub.d/{name}" for name in folder)))
    script += 'printf %s "$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT"'
    done = subprocess.run(
        [shell, "-c", script], cwd=root / "etc/default", capture_output=True, check=True
    )
    return done.stdout.decode()


def _kernel_lines(root: Path) -> list[str]:
    """Every line that starts a Linux kernel by default, whatever the loader."""
    lines = []
    for pattern in ("grub.cfg", "grub.conf"):
        for path in root.rglob(pattern):
            text = path.read_text() if not path.is_symlink() else ""
            lines += re.findall(r"^\s*(?:linux\w*|kernel)\s+\S*vmlinuz.*$", text, re.M)
    for path in root.glob("boot/**/entries/*.conf"):
        options = re.findall(r"^options\b.*$", path.read_text(), re.M)
        if not any("$kernelopts" in line for line in options):
            lines.append(" ".join(options))
    for path in (root / "etc/zipl.conf", root / "etc/kernel/cmdline"):
        if path.exists():
            text = path.read_text()
            found = re.findall(r"^\s*parameters\s*=.*$", text, re.M)
            lines += found or [text]
    for path in root.rglob("grubenv"):
        if not path.is_symlink():
            lines += re.findall(r"^kernelopts=.*$", path.read_text(), re.M)
    return [line for line in lines if "recovery" not in line.split()]


@pytest.mark.parametrize("name", UNSEEN)
def test_it_is_armed_once_everywhere_and_taken_back(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _make(tmp_path, UNSEEN[name]())
    before = state_of(tmp_path)
    shells = [] if not (tmp_path / "etc/default/grub").exists() else ["bash", "sh"]
    if name in _BASH_ONLY:
        shells.remove("sh")
    words = [_other_words(_as_sh_reads(tmp_path, shell)) for shell in shells]
    steps = _plan(tmp_path, capsys)["steps"]
    assert steps, "it would leave no dump as it is"
    files = [step["file"] for step in steps]
    assert len(files) == len(set(files))
    assert main(["arm", f"tree:{tmp_path}", "--apply", "--yes"]) == 0, capsys.readouterr().err
    lines = _kernel_lines(tmp_path)
    assert lines
    asked = [_asked(line) for line in lines]
    (value,) = asked[0]
    assert value != "auto" and value != "64M"
    assert all(one == [value] for one in asked), list(zip(lines, asked, strict=True))
    assert [_asked(_as_sh_reads(tmp_path, shell)) for shell in shells] == [[value]] * len(shells)
    assert [_other_words(_as_sh_reads(tmp_path, shell)) for shell in shells] == words
    assert _plan(tmp_path, capsys)["steps"] == []
    main(["doctor", f"tree:{tmp_path}", "--json"])
    checks = {c["id"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["future-kernels"]["status"] == "pass"
    assert checks["next-boot-entry"]["status"] == "pass" or name == "arch_unified"
    assert checks["kdump-service"]["status"] != "fail"
    for link in tmp_path.glob("etc/systemd/system/*.wants/*"):
        assert (tmp_path / str(link.readlink()).lstrip("/")).is_file(), link
    assert main(["disarm", f"tree:{tmp_path}", "--yes"]) == 0
    assert state_of(tmp_path) == before


def test_every_other_word_stays_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, make in UNSEEN.items():
        root = tmp_path / name
        _make(root, make())
        old = [
            re.sub(r"\s*crashkernel=[^\s\"']+", "", line).split() for line in _kernel_lines(root)
        ]
        assert main(["arm", f"tree:{root}", "--apply", "--yes"]) == 0
        new = [
            re.sub(r"\s*crashkernel=[^\s\"']+", "", line).split() for line in _kernel_lines(root)
        ]
        assert [words for words in new if words != ["options"]] == [w for w in old if w], name
    capsys.readouterr()


def test_zipl_takes_the_file_that_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """scan.c's rules: nothing stands behind a closing quote."""
    _make(tmp_path, UNSEEN["debian_s390"]())
    assert main(["arm", f"tree:{tmp_path}", "--apply", "--yes"]) == 0
    capsys.readouterr()
    for line in (tmp_path / "etc/zipl.conf").read_text().splitlines():
        if match := re.match(r"parameters\s*=\s*(['\"])(.*)", line):
            assert match[2].rstrip().count(match[1]) == 1 and match[2].rstrip()[-1] == match[1]


def test_xen_is_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Linux's own line does not count there; that is said, and what to do."""
    _make(tmp_path, xen())
    (manual,) = _plan(tmp_path, capsys)["manual"]
    assert "GRUB_CMDLINE_XEN_DEFAULT" in str(manual)
    assert "grub2-mkconfig -o /boot/grub2/grub.cfg" in str(manual)
    assert main(["doctor", f"tree:{tmp_path}", "--json"]) == 1
    checks = {c["id"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["next-boot-entry"]["status"] == "fail"
    # The fix is run by a real sed, and then the machine's own file has it for Xen.
    fix = checks["next-boot-entry"]["fix"].split(" && ")[0]
    subprocess.run(["sh", "-c", fix.replace("/etc/", f"{tmp_path}/etc/")], check=True)
    assert re.search(
        r'^GRUB_CMDLINE_XEN_DEFAULT="crashkernel=\d+M vga=gfx"$',
        (tmp_path / "etc/default/grub").read_text(),
        re.M,
    )


def test_el5_must_be_told_the_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Documentation/kdump of 2.6.18: crashkernel=Y@X, and nothing else."""
    release = "2.6.18-419.el5"
    _make(
        tmp_path,
        {
            "etc/redhat-release": "CentOS release 5.11 (Final)\n",
            f"lib/modules/{release}/modules.dep": "",
            "boot/grub/grub.conf": f"default=0\ntitle CentOS ({release})\n\troot (hd0,0)\n"
            f"\tkernel /vmlinuz-{release} ro root=/dev/sda2\n",
            "etc/sysctl.conf": "kernel.sysrq = 0\n",
            "etc/kdump.conf": "path /var/crash\n",
            "etc/rc.d/init.d/kdump": "#!/bin/sh\n",
        },
    )
    assert main(["arm", f"tree:{tmp_path}", "--apply", "--yes"]) == 0
    text = (tmp_path / "boot/grub/grub.conf").read_text()
    assert "ro root=/dev/sda2 crashkernel=128M@16M\n" in text
    assert _plan(tmp_path, capsys)["steps"] == []
