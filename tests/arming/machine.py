"""A machine that answers: a tree on disk, and programs that do to its files what the real ones do.

None of them uses kautopsy's editors. What they know is from the sources named at each.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from kautopsy.host.host import RunResult
from kautopsy.host.tree import TreeHost

Tool = Callable[["Machine", list[str]], int]


class Machine(TreeHost):
    """``tools`` are on its PATH; whatever runs is kept in ``ran``."""

    live = True

    def __init__(self, root: Path, tools: Sequence[str], *, node: str = "box") -> None:
        super().__init__(root)
        self.tools = list(tools)
        self.ran: list[str] = []
        self.node = node
        self.failing: str | None = None

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> RunResult:
        words = list(argv)
        self.ran.append(" ".join(words))
        if words[0] not in self.tools or words[0] not in TOOLS:
            return RunResult(127, b"", f"{words[0]}: not found".encode())
        if self.failing is not None and self.ran[-1].startswith(self.failing):
            TOOLS[words[0]](self, words[1:])
            return RunResult(1, b"", b"it failed half-way")
        self.said = b""
        status = TOOLS[words[0]](self, words[1:])
        return RunResult(status, self.said, b"" if status == 0 else b"no")

    def script(self, text: str, *arguments: str, timeout: float = 120.0) -> RunResult:
        """The probe reads the tree; what only a running system says is added."""
        done = super().script(text, *arguments, timeout=timeout)
        said = {
            "id": "0",
            "machine": "x86_64",
            "node": self.node,
            "tools": "\n".join(self.tools),
        }
        more = "".join(
            f"@said 0 {name}\n" + "".join(f"|{line}\n" for line in words.split("\n"))
            for name, words in said.items()
        )
        answer = done.stdout.replace(b"@end\n", more.encode() + b"@end\n")
        return RunResult(done.status, answer, done.stderr)

    def text(self, path: str) -> str:
        return (self.root / path).read_text()

    def put(self, path: str, text: str) -> None:
        (self.root / path).write_text(text)


def _sourced(machine: Machine) -> tuple[str, str]:
    """As grub-mkconfig: /etc/default/grub, and Debian's grub.d, by a real sh."""
    script = (
        "GRUB_CMDLINE_LINUX= GRUB_CMDLINE_LINUX_DEFAULT=; [ ! -e etc/default/grub ] ||"
        ' . ./etc/default/grub; for f in etc/default/grub.d/*.cfg; do [ ! -e "$f" ] || . ./$f;'
        ' done; printf \'%s\\n%s\\n\' "$GRUB_CMDLINE_LINUX" "$GRUB_CMDLINE_LINUX_DEFAULT"'
    )
    done = subprocess.run(
        ["sh", "-eu", "-c", script], cwd=machine.root, capture_output=True, text=True, check=True
    )
    both, normal = done.stdout.split("\n")[:2]
    return both, normal


def _mkconfig(machine: Machine, path: str) -> None:
    """grub.d/10_linux: ``linux FILE root=DEVICE ro BOTH NORMAL``, recovery with ``single BOTH``."""
    both, normal = _sourced(machine)
    lines = []
    for line in machine.text(path).split("\n"):
        match = re.match(r"^(\s*linux\w*\s+\S+ root=\S+ ro)(.*)$", line)
        if match:
            tail = f" single {both}" if " single" in match[2] else f" {both} {normal}"
            line = match[1] + tail.rstrip()
        lines.append(line)
    machine.put(path, "\n".join(lines))


def update_grub(machine: Machine, words: list[str]) -> int:
    _mkconfig(machine, "boot/grub/grub.cfg")
    return 0


def grub2_mkconfig(machine: Machine, words: list[str]) -> int:
    """rhboot/grub2 PR 126: BLS entries change with --update-bls-cmdline only (9.3)."""
    path = words[words.index("-o") + 1].lstrip("/")
    _mkconfig(machine, path)
    if "--update-bls-cmdline" in words:
        both, normal = _sourced(machine)
        for entry in (machine.root / "boot/loader/entries").glob("*.conf"):
            text = entry.read_text()
            entry.write_text(
                re.sub(r"(?m)^(options (?:root=\S+ )?ro).*$", rf"\1 {both} {normal}", text)
            )
    return 0


def _argued(line: str, new: list[str], gone: list[str]) -> str:
    """grubby: arguments of the same name go, the new ones come last."""
    names = {word.split("=")[0] for word in new} | set(gone)
    return " ".join([w for w in line.split() if w.split("=")[0] not in names] + new)


def grubby(machine: Machine, words: list[str]) -> int:
    """grubby 8.40 on BLS (grubby-bls), the C program before it."""
    assert words[0] == "--update-kernel=ALL", words
    new, gone = [], []
    for word in words[1:]:
        if word.startswith("--args="):
            new = word.removeprefix("--args=").split()
        elif word.startswith("--remove-args="):
            gone = word.removeprefix("--remove-args=").split()
    root = machine.root
    legacy = root / "boot/grub/grub.conf"
    if legacy.exists():
        legacy.write_text(
            re.sub(
                r"(?m)^(\s*kernel \S+) (.*)$",
                lambda m: f"{m[1]} {_argued(m[2], new, gone)}",
                legacy.read_text(),
            )
        )
        return 0
    for entry in (root / "boot/loader/entries").glob("*.conf"):
        text = entry.read_text()
        if "$kernelopts" not in text:
            entry.write_text(
                re.sub(
                    r"(?m)^options (.*)$",
                    lambda m: f"options {_argued(m[1], new, gone)}",
                    text,
                )
            )
    env = root / "boot/grub2/grubenv"
    if env.exists() and "kernelopts=" in env.read_text():
        body = env.read_text().rstrip("#")
        body = re.sub(
            r"(?m)^kernelopts=(.*)$",
            lambda m: f"kernelopts={_argued(m[1], new, gone)}",
            body,
        )
        env.write_text(body + "#" * (1024 - len(body)))
    for name in ("etc/kernel/cmdline",):
        if (root / name).exists():
            machine.put(name, _argued(machine.text(name), new, gone) + "\n")
    return 0


def kdumptool(machine: Machine, words: list[str]) -> int:
    """kdump 2: ``commandline -u`` makes the loader do what KDUMP_CRASHKERNEL says."""
    assert words == ["commandline", "-u"], words
    match = re.search(r'(?m)^KDUMP_CRASHKERNEL="(.*)"$', machine.text("etc/sysconfig/kdump"))
    wanted = match[1].split() if match and match[1] != "auto" else ["crashkernel=200M"]
    path = "etc/default/grub"
    machine.put(
        path,
        re.sub(
            r'(?m)^GRUB_CMDLINE_LINUX_DEFAULT="(.*)"$',
            lambda m: f'GRUB_CMDLINE_LINUX_DEFAULT="{_argued(m[1], wanted, [])}"',
            machine.text(path),
        ),
    )
    _mkconfig(machine, "boot/grub2/grub.cfg")
    return 0


def rpm_ostree(machine: Machine, words: list[str]) -> int:
    """rpm-ostree kargs: a new deployment's entry has them."""
    assert words[0] == "kargs", words
    entry = next((machine.root / "boot/loader/entries").glob("ostree-*.conf"))
    text = entry.read_text()
    match = re.search(r"(?m)^options (.*)$", text)
    assert match is not None
    found = match[1].split()
    for word in words[1:]:
        option, _, argument = word.partition("=")
        if option == "--delete-if-present":
            found = [w for w in found if w != argument]
        elif option == "--append-if-missing" and argument not in found:
            found.append(argument)
    machine.said = " ".join(found).encode()
    if len(words) > 1:
        entry.write_text(text.replace(match[0], f"options {' '.join(found)}"))
    return 0


def zipl(machine: Machine, words: list[str]) -> int:
    """It writes what it reads to the boot record."""
    entries = sorted((machine.root / "boot/loader/entries").glob("*.conf"))
    machine.put("boot/bootmap", "".join(entry.read_text() for entry in entries))
    return 0


def systemctl(machine: Machine, words: list[str]) -> int:
    verb, unit = words[0], words[-1]
    folder = machine.root / "etc/systemd/system"
    mask = folder / unit
    wants = folder / "multi-user.target.wants"
    match verb:
        case "enable":
            wants.mkdir(parents=True, exist_ok=True)
            (wants / unit).unlink(missing_ok=True)
            (wants / unit).symlink_to(f"/usr/lib/systemd/system/{unit}")
        case "disable":
            (wants / unit).unlink(missing_ok=True)
        case "mask":
            mask.symlink_to("/dev/null")
        case "unmask":
            mask.unlink(missing_ok=True)
        case "is-enabled":
            return 0 if (wants / unit).is_symlink() else 1
        case "restart":
            return 0
        case _:
            raise AssertionError(words)
    return 0


def chkconfig(machine: Machine, words: list[str]) -> int:
    """chkconfig(8) on el6: ``# chkconfig: - 20 80`` in the script says the numbers."""
    name, verb = words
    for level in "0123456":
        folder = machine.root / f"etc/rc.d/rc{level}.d"
        folder.mkdir(parents=True, exist_ok=True)
        for link in folder.glob(f"[SK]??{name}"):
            link.unlink()
        kind = "S20" if verb == "on" and level in "2345" else "K80"
        (folder / f"{kind}{name}").symlink_to(f"../init.d/{name}")
    return 0


def transactional_update(machine: Machine, words: list[str]) -> int:
    """``setup-kdump``: the new snapshot's /etc/default/grub asks for what kdumptool measured."""
    assert words[:2] == ["--non-interactive", "setup-kdump"] or words == ["rollback", "last"], words
    return 0


def sysctl(machine: Machine, words: list[str]) -> int:
    assert words[0] == "-w", words
    for word in words[1:]:
        name, _, value = word.partition("=")
        path = machine.root / "proc/sys" / name.replace(".", "/")
        if not path.exists():
            return 1
        path.write_text(f"{value}\n")
    return 0


def env(machine: Machine, words: list[str]) -> int:
    """``env DEBIAN_FRONTEND=noninteractive apt-get -y -q install kdump-tools``."""
    assert words[1:4] == ["apt-get", "-y", "-q"], words
    root = machine.root
    unit = root / "lib/systemd/system/kdump-tools.service"
    wants = root / "etc/systemd/system/basic.target.wants/kdump-tools.service"
    shipped = root / "etc/default/grub.d/kdump-tools.cfg"
    settings = root / "etc/default/kdump-tools"
    if words[4] == "install":
        for path in (unit, wants, shipped):
            path.parent.mkdir(parents=True, exist_ok=True)
        unit.write_text("[Service]\n")
        wants.symlink_to("/lib/systemd/system/kdump-tools.service")
        # kdump-tools 1:1.8.1, /etc/default/grub.d/kdump-tools.cfg
        shipped.write_text(
            'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=384M-:128M"\n'
        )
        settings.write_text('# kdump-tools\nUSE_KDUMP=0\nKDUMP_COREDIR="/var/crash"\n')
    else:
        assert words[4] == "purge"
        for path in (unit, wants, shipped, settings):
            path.unlink(missing_ok=True)
        for path in (unit, wants, shipped):
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
    _mkconfig(machine, "boot/grub/grub.cfg")
    return 0


TOOLS: dict[str, Tool] = {
    "update-grub": update_grub,
    "grub2-mkconfig": grub2_mkconfig,
    "grub-mkconfig": grub2_mkconfig,
    "grubby": grubby,
    "kdumptool": kdumptool,
    "rpm-ostree": rpm_ostree,
    "zipl": zipl,
    "systemctl": systemctl,
    "sysctl": sysctl,
    "chkconfig": chkconfig,
    "transactional-update": transactional_update,
    "env": env,
}
