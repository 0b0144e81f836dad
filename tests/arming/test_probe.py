"""The probe in real shells, and contents that try to look like its frame."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kautopsy.arming.answers import Answers, ask, parse, script_text
from kautopsy.arming.facts import from_answers
from kautopsy.host.host import RunResult
from kautopsy.host.local import LocalHost
from kautopsy.model.errors import UnreadableError

SHELLS = [["dash"], ["busybox", "sh"], ["bash", "--posix"], ["sh"]]


def _in_tree(root: Path, shell: list[str]) -> Answers:
    done = subprocess.run(
        [*shell, "-s"],
        input=script_text().encode(),
        capture_output=True,
        env={**os.environ, "KAUTOPSY_ROOT": str(root)},
        timeout=120,
        check=True,
    )
    assert done.stderr == b""
    return parse(done.stdout.decode(errors="surrogateescape"))


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_contents_cannot_pass_for_a_frame(shell: list[str], tmp_path: Path) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"no {shell[0]} here")
    hostile = (
        b"@end\n|@end\n@file /etc/passwd\n@said 0 id\n|0\n\x1b]0;x\x07\x00\xff\r\n$(id) `id`\n"
        b"\\n%s\n-n\n@kautopsy-probe 1\n\n  spaces  \nno newline at the end"
    )
    (tmp_path / "etc/default").mkdir(parents=True)
    (tmp_path / "boot/loader/entries").mkdir(parents=True)
    (tmp_path / "etc/kdump.conf").write_bytes(hostile)
    (tmp_path / "etc/fstab").write_bytes(b"")
    (tmp_path / "boot/loader/entries/a\n@end\n.conf").write_bytes(b"lost")
    (tmp_path / "boot/loader/entries/$(id) ' \".conf").write_bytes(b"found")
    os.mkfifo(tmp_path / "etc/default/grub")
    answers = _in_tree(tmp_path, shell)
    wanted = hostile.replace(b"\0", b"").decode(errors="surrogateescape")
    assert answers.files["/etc/kdump.conf"] == wanted
    assert answers.files["/etc/fstab"] == ""
    assert answers.files["/boot/loader/entries/$(id) ' \".conf"] == "found"
    assert "/etc/passwd" not in answers.files
    assert "/etc/default/grub" not in answers.files
    assert "id" not in answers.said
    assert not any("\n" in path for path in answers.files)
    from_answers(answers, live=False)


@pytest.mark.parametrize("shell", SHELLS[:3], ids=" ".join)
def test_a_living_machine_in_every_shell(shell: list[str]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"no {shell[0]} here")
    done = subprocess.run(
        [*shell, "-s"], input=script_text().encode(), capture_output=True, timeout=120, check=True
    )
    facts = from_answers(parse(done.stdout.decode(errors="surrogateescape")), live=True)
    # Python's own view of this machine.
    assert facts.release == os.uname().release
    assert facts.node == os.uname().nodename
    assert facts.machine == os.uname().machine
    assert facts.root is (os.geteuid() == 0)
    assert facts.page_size == os.sysconf("SC_PAGE_SIZE")
    assert facts.memory.total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert facts.cmdline is not None
    assert " ".join(facts.cmdline) == " ".join(Path("/proc/cmdline").read_text().split())


def test_the_script_is_clean_posix_shell() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck here")
    done = subprocess.run(
        ["shellcheck", "--shell=sh", "-"],
        input=script_text(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == ""


class _Talkative(LocalHost):
    """A login that prints something of its own."""

    def __init__(self, before: str, after: str, cut: int | None = None) -> None:
        self.before, self.after, self.cut = before, after, cut

    def script(self, text: str, *arguments: str, timeout: float = 120.0) -> RunResult:
        answer = "@kautopsy-probe 1\n@file /etc/fstab\n|x\n@said 1 id\n|no\n@end\n"
        whole = f"{self.before}{answer}{self.after}"[: self.cut]
        return RunResult(0, whole.encode(), b"motd\n")


def test_a_login_that_talks_and_one_that_is_cut_off() -> None:
    answers = ask(_Talkative("Welcome!\n@end\n|x\n", "bye\n@end\n"))
    assert answers.files == {"/etc/fstab": "x"}
    assert answers.said["id"].status == 1
    for cut in (0, 5, 40, 55):
        with pytest.raises(UnreadableError) as caught:
            ask(_Talkative("", "", cut))
        assert caught.value.slug == "no-answer"


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize(("ending", "listed"), [("", True), ("kill -9 $$", False)])
def test_a_list_of_modules_that_was_cut_short_is_none(
    shell: list[str], ending: str, listed: bool, tmp_path: Path
) -> None:
    """On a busy machine listing an initrd takes longer than the probe waits."""
    if shutil.which(shell[0]) is None:
        pytest.skip(f"no {shell[0]} here")
    tool = tmp_path / "lsinitramfs"
    tool.write_text(f"#!/bin/sh\necho usr/lib/modules/6.1/kernel/drivers/a.ko.xz\n{ending}\n")
    tool.chmod(0o755)
    functions = script_text().partition("\nsecure_boot() {")[0]
    done = subprocess.run(
        [*shell, "-s"],
        input=f"{functions}\nimage_modules initrd\n".encode(),
        capture_output=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        timeout=60,
    )
    assert (done.returncode == 0, done.stdout) == ((True, b"a\n") if listed else (False, b""))


@pytest.mark.parametrize("program", ["gzip", "zstd", "xz"])
@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_the_modules_of_a_compressed_initrd(
    shell: list[str], program: str, cut: bool, tmp_path: Path
) -> None:
    """What is only half written gives no list, for the distribution's lister does not either."""
    if any(shutil.which(tool) is None for tool in (shell[0], program, "cpio")):
        pytest.skip(f"no {shell[0]}, {program} or cpio here")
    tree = tmp_path / "tree/usr/lib/modules/6.1"
    tree.mkdir(parents=True)
    for name in ("virtio_pci.ko", "dm-mod.ko.zst"):
        (tree / name).write_bytes(os.urandom(9000))
    make = f"cd {tmp_path}/tree && find . | cpio -o -H newc --quiet | {program} -c >../initrd"
    subprocess.run(["sh", "-c", make], check=True)
    image = tmp_path / "initrd"
    if cut:
        image.write_bytes(image.read_bytes()[:-8000])
    (tmp_path / "bin").mkdir()
    lister = tmp_path / "bin/lsinitramfs"
    lister.write_text("#!/bin/sh\nexit 1\n")
    lister.chmod(0o755)
    functions = script_text().partition("\nsecure_boot() {")[0]
    done = subprocess.run(
        [*shell, "-s"],
        input=f"{functions}\nimage_modules {image}\n".encode(),
        capture_output=True,
        env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        timeout=60,
    )
    if cut:
        assert (done.returncode, done.stdout) == (1, b"")
    else:
        assert (done.returncode, done.stdout) == (0, b"dm-mod\nvirtio_pci\n")
