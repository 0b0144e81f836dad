"""Arming machines that answer: the distribution's own programs run, in order, and can be undone."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from kautopsy.arming import journal
from kautopsy.arming.apply import apply, disarm, recover
from kautopsy.arming.doctor import examine
from kautopsy.arming.plan import look_and_plan
from kautopsy.arming.policy import Policy, checked
from kautopsy.host.tree import TreeHost
from kautopsy.model.base import to_json
from kautopsy.model.errors import KautopsyError, RefusedError
from kautopsy.model.readiness import CheckStatus

from . import machine as tools_of
from .machine import Machine
from .trees import TREES, state_of, write

pytestmark = pytest.mark.slow

_POLICY = Policy(crashkernel="256M", sysctl={"kernel.panic": 20})


def _quiet(words: str) -> None:
    pass


def _machine(name: str, root: Path, *tools: str) -> Machine:
    root.mkdir(exist_ok=True)
    TREES[name](root, "")
    # What a kernel of its age has, as distributions set it.
    write(
        root,
        {
            "proc/sys/kernel/panic": "0\n",
            "proc/sys/kernel/sysrq": "438\n",
            "proc/sys/kernel/watchdog_thresh": "10\n",
            "proc/sys/kernel/unknown_nmi_panic": "0\n",
            "proc/sys/kernel/softlockup_panic": "0\n",
            "sys/kernel/kexec_crash_loaded": "0\n",
            "sys/kernel/kexec_crash_size": "0\n",
        },
    )
    return Machine(root, ("sysctl", *tools))


# tree, its tools: the files that are edited and the commands that are run, in order, by what
# docs/arm.md and the distributions' manuals say.
_PLANS = [
    ("el6", ("grubby", "chkconfig"), [
        "grubby --update-kernel=ALL --args=crashkernel=256M",
        "/etc/sysctl.conf",
        "sysctl",
    ]),
    ("el7", ("grubby", "grub2-mkconfig", "systemctl"), [
        "/etc/default/grub",
        "grub2-mkconfig -o /boot/grub2/grub.cfg",
        "/etc/sysctl.d/zz-kautopsy.conf",
        "sysctl",
    ]),
    ("el8", ("grubby", "grub2-mkconfig", "systemctl"), [
        "/etc/default/grub",
        "grubby --update-kernel=ALL --args=crashkernel=256M",
        "/etc/sysctl.d/zz-kautopsy.conf",
        "sysctl",
    ]),
    ("el9", ("grubby", "grub2-mkconfig", "update-bls-cmdline", "systemctl"), [
        "/etc/default/grub",
        "/etc/kernel/cmdline",
        "grubby --update-kernel=ALL --args=crashkernel=256M",
        "/etc/sysctl.d/zz-kautopsy.conf",
        "sysctl",
    ]),
    ("el9", ("grub2-mkconfig", "update-bls-cmdline", "systemctl"), [
        "/etc/default/grub",
        "/etc/kernel/cmdline",
        "grub2-mkconfig -o /boot/grub2/grub.cfg --update-bls-cmdline",
        "/etc/sysctl.d/zz-kautopsy.conf",
        "sysctl",
    ]),
    ("fedora", ("grubby", "systemctl"), [
        "/etc/default/grub",
        "/etc/kernel/cmdline",
        "grubby --update-kernel=ALL --args=crashkernel=256M",
        "/etc/sysctl.d/zz-kautopsy.conf",
        "sysctl",
    ]),
    ("debian12", ("update-grub", "systemctl"), [
        "/etc/systemd/system/systemd-sysctl.service.d/kautopsy.conf",
        "/etc/default/grub.d/kdump-tools.cfg",
        "update-grub",
        "/etc/sysctl.d/zz-kautopsy.conf",
        "sysctl",
    ]),
    ("ubuntu", ("update-grub", "systemctl"), [
        "/etc/systemd/system/systemd-sysctl.service.d/kautopsy.conf",
        "/etc/default/grub.d/kdump-tools.cfg",
        "update-grub",
        "/etc/sysctl.d/zz-kautopsy.conf",
        "sysctl",
    ]),
    ("suse", ("grub2-mkconfig", "systemctl", "kdumptool"), [
        "/etc/default/grub",
        "grub2-mkconfig -o /boot/grub2/grub.cfg",
        "/etc/sysctl.d/zz-kautopsy.conf",
        "sysctl",
    ]),
    ("tumbleweed", ("grub2-mkconfig", "systemctl", "kdumptool"), [
        "/etc/sysconfig/kdump",
        "kdumptool commandline -u",
        "/etc/sysctl.d/zz-kautopsy.conf",
        "sysctl",
    ]),
    ("arch_grub", ("grub-mkconfig", "systemctl"), [
        "/etc/default/grub",
        "grub-mkconfig -o /boot/grub/grub.cfg",
        "/etc/sysctl.d/zz-kautopsy.conf",
        "sysctl",
    ]),
    ("systemd_boot", ("systemctl",), [
        "/etc/kernel/cmdline",
        "/boot/efi/loader/entries/a-6.99.conf",
        "/boot/efi/loader/entries/m-6.11.9-arch1-1.conf",
        "/boot/efi/loader/entries/m-6.12.1-arch1-1.conf",
        "/etc/sysctl.d/zz-kautopsy.conf",
        "sysctl",
    ]),
    ("coreos", ("rpm-ostree", "systemctl"), [
        "rpm-ostree kargs --append-if-missing=crashkernel=256M",
        "/etc/sysctl.d/zz-kautopsy.conf",
        "systemctl enable kdump.service",
        "sysctl",
    ]),
    ("s390", ("grubby", "zipl", "systemctl"), [
        "/etc/kernel/cmdline",
        "/boot/loader/entries/ffff-5.14.0-427.el9.s390x.conf",
        "/etc/zipl.conf",
        "grubby --update-kernel=ALL --args=crashkernel=256M",
        "zipl",
        "/etc/sysctl.d/zz-kautopsy.conf",
        "sysctl",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "tools", "expected"), _PLANS)
def test_the_programs_of_each_distribution(
    name: str, tools: tuple[str, ...], expected: list[str], tmp_path: Path
) -> None:
    machine = _machine(name, tmp_path / "root", *tools)
    before = state_of(machine.root)
    _, work = look_and_plan(machine, _POLICY)
    steps = [deed.step() for deed in work.deeds]
    told = [
        step.file or " ".join(step.command or ()).replace("sysctl -w", "sysctl") for step in steps
    ]
    assert [re.sub(r"^sysctl .*", "sysctl", t) for t in told] == _sorted_like(expected, told)
    assert all(step.undo for step in steps)
    assert work.reboot
    assert state_of(machine.root) == before
    apply(machine, work, _quiet)
    facts, again = look_and_plan(machine, _POLICY)
    assert [deed.step() for deed in again.deeds] == []
    checks = {check.id: check.status for check in examine(facts).checks}
    assert checks["next-boot-entry"] is CheckStatus.PASS
    assert checks["future-kernels"] in (CheckStatus.PASS, CheckStatus.UNKNOWN)
    assert checks["panic-timeout"] is CheckStatus.PASS
    assert machine.text("proc/sys/kernel/panic") == "20\n"
    assert facts.boot is not None
    assert facts.boot.arguments.count("crashkernel=256M") == 1
    undone = disarm(machine, _quiet)
    assert undone is not None and undone.complete
    after = state_of(machine.root)
    after.pop("boot/bootmap", None)
    assert after == before


def _sorted_like(expected: list[str], told: list[str]) -> list[str]:
    """``expected``; the order of sysctl among the last steps is no matter."""
    plain = [re.sub(r"^sysctl .*", "sysctl", t) for t in told]
    return plain if sorted(plain) == sorted(expected) else expected


def _armed(name: str, root: Path, *tools: str) -> tuple[Machine, dict[str, object]]:
    machine = _machine(name, root, *tools)
    before: dict[str, object] = dict(state_of(root))
    apply(machine, look_and_plan(machine, _POLICY)[1], _quiet)
    return machine, before


def test_a_package_comes_first_and_goes_last(tmp_path: Path) -> None:
    root = tmp_path / "root"
    machine = _machine("debian12", root, "update-grub", "env", "systemctl")
    for path in ("lib/systemd", "etc/systemd", "var/lib/kdump", "etc/default/grub.d"):
        shutil.rmtree(root / path)
    (root / "etc/default/kdump-tools").unlink()
    before = state_of(root)
    _, work = look_and_plan(machine, _POLICY)
    assert "install kdump-tools" in work.deeds[0].what
    apply(machine, work, _quiet)
    # Not the 128 MiB that the package asks for, and not both.
    config = machine.text("boot/grub/grub.cfg")
    assert config.count("crashkernel=256M") == 2
    assert config.count("crashkernel=") == 2
    assert machine.text("etc/default/kdump-tools").startswith("# kdump-tools\nUSE_KDUMP=1\n")
    assert look_and_plan(machine, _POLICY)[1].deeds == ()
    undone = disarm(machine, _quiet)
    assert undone is not None and undone.complete
    left = {path: value for path, value in state_of(root).items() if before.get(path) != value}
    assert {path for path in left if left[path][1] is not None} == set()
    assert machine.ran[-1].endswith("purge kdump-tools")


@pytest.mark.parametrize("failing", ["update-grub", "sysctl -w", "env"])
def test_a_step_that_fails_takes_everything_back(failing: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    machine = _machine("debian12", root, "update-grub", "env", "systemctl")
    if failing == "env":
        for path in ("lib/systemd", "etc/systemd", "etc/default/grub.d"):
            shutil.rmtree(root / path)
        (root / "etc/default/kdump-tools").unlink()
    before = {k: v for k, v in state_of(root).items() if v[1] is not None}
    _, work = look_and_plan(machine, _POLICY)
    machine.failing = failing
    with pytest.raises(KautopsyError) as caught:
        apply(machine, work, _quiet)
    assert "it failed half-way" in str(caught.value)
    after = {k: v for k, v in state_of(root).items() if v[1] is not None}
    if failing == "sysctl -w":
        # The undo is the same program, and that is out of order here: said, and kept for later.
        assert caught.value.slug == "step-failed"
        changed = {k for k in after if before.get(k) != after[k]}
        assert changed <= {k for k in after if k.startswith("proc/sys/")}
    else:
        assert after == before
        assert journal.load(machine) is None


def test_a_tool_that_lies_is_found_out(tmp_path: Path) -> None:
    """grubby of el8.0 did not touch kernelopts (rhbz 1690765): the look afterwards sees it."""
    machine = _machine("el8", tmp_path / "root", "grubby", "systemctl")
    before = state_of(machine.root)
    _, work = look_and_plan(machine, _POLICY)
    env = machine.root / "boot/grub2/grubenv"
    old = env.read_bytes()
    honest = tools_of.TOOLS["grubby"]

    def lying(box: Machine, words: list[str]) -> int:
        status = honest(box, words)
        env.write_bytes(old)
        return status

    tools_of.TOOLS["grubby"] = lying
    try:
        with pytest.raises(KautopsyError, match="the next boot asks for nothing"):
            apply(machine, work, _quiet)
    finally:
        tools_of.TOOLS["grubby"] = honest
    assert state_of(machine.root) == before


def test_a_kernel_that_came_since_keeps_its_boot_entry(tmp_path: Path) -> None:
    machine, before = _armed("debian12", tmp_path / "root", "update-grub", "systemctl")
    config = machine.text("boot/grub/grub.cfg")
    entry = (
        "menuentry 'new' {\n\tlinux\t/boot/vmlinuz-6.1.0-99-amd64 root=UUID=1 ro quiet"
        " crashkernel=256M\n}\n"
    )
    machine.put("boot/grub/grub.cfg", config + entry)
    undone = disarm(machine, _quiet)
    assert undone is not None and undone.complete
    assert undone.renewed == ["update-grub"]
    config = machine.text("boot/grub/grub.cfg")
    assert "vmlinuz-6.1.0-99-amd64" in config
    assert "crashkernel" not in config
    after = state_of(machine.root)
    assert {k for k in before if before[k] != after.get(k)} == {"boot/grub/grub.cfg"}


def test_a_file_that_somebody_changed_is_told_of_and_left(tmp_path: Path) -> None:
    machine, before = _armed("debian12", tmp_path / "root", "update-grub", "systemctl")
    path = "etc/sysctl.d/zz-kautopsy.conf"
    machine.put(path, machine.text(path) + "kernel.hung_task_panic = 1\n")
    undone = disarm(machine, _quiet)
    assert undone is not None
    assert undone.changed == [f"/{path}"]
    assert "hung_task_panic" in machine.text(path)
    # All else is as before; the journal still knows about this one.
    kept = journal.load(machine)
    assert kept is not None and [c.before[0].path for c in kept.changes] == [f"/{path}"]
    assert disarm(machine, _quiet, force=True) is not None
    assert state_of(machine.root) == before


def test_arming_twice_with_two_policies_is_one_journal(tmp_path: Path) -> None:
    machine, before = _armed("el9", tmp_path / "root", "grubby", "systemctl")
    more = Policy(crashkernel="512M", target="/srv/dumps", collector="makedumpfile -z -d 31")
    apply(machine, look_and_plan(machine, more)[1], _quiet)
    assert "crashkernel=512M" in machine.text("etc/kernel/cmdline")
    assert "path /srv/dumps\n" in machine.text("etc/kdump.conf")
    assert "core_collector makedumpfile -z -d 31\n" in machine.text("etc/kdump.conf")
    undone = disarm(machine, _quiet)
    assert undone is not None and undone.complete
    assert state_of(machine.root) == before


def test_a_file_that_changes_between_plan_and_deed_is_refused(tmp_path: Path) -> None:
    machine = _machine("el9", tmp_path / "root", "grubby", "systemctl")
    _, work = look_and_plan(machine, _POLICY)
    machine.put("etc/kernel/cmdline", "root=/dev/other ro\n")
    with pytest.raises(RefusedError, match="changed after the plan was made"):
        apply(machine, work, _quiet)
    assert machine.text("etc/kernel/cmdline") == "root=/dev/other ro\n"


@pytest.mark.parametrize(
    ("spoil", "slug"),
    [
        (lambda root: write(root, {".dockerenv": ""}), "container"),
        (lambda root: write(root, {"run/systemd/container": "lxc\n"}), "container"),
        (
            lambda root: write(
                root, {"boot/config-6.1.0-50-amd64": "CONFIG_X86_64=y\nCONFIG_SMP=y\n"}
            ),
            "no-kexec",
        ),
    ],
)
def test_what_can_leave_no_dump_is_refused(
    spoil: Callable[[Path], None], slug: str, tmp_path: Path
) -> None:
    machine = _machine("debian12", tmp_path / "root", "update-grub")
    spoil(machine.root)
    with pytest.raises(RefusedError) as caught:
        look_and_plan(machine, Policy())
    assert caught.value.slug == slug


def test_an_unknown_distribution_gets_words_and_no_deeds(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, {"etc/os-release": "ID=plan9\n", "sys/kernel/kexec_crash_loaded": "0\n"})
    machine = Machine(root, ("grubby", "update-grub"))
    _, work = look_and_plan(machine, checked(Policy(crashkernel="256M")))
    assert work.deeds == ()
    assert not work.known
    assert any("crashkernel=256M" in words for words in work.manual)


def test_two_at_once(tmp_path: Path) -> None:
    """A run that goes on is not taken for one that was interrupted."""
    machine, before = _armed("debian12", tmp_path / "root", "update-grub", "systemctl")
    found = journal.load(machine)
    assert found is not None
    going_on = msgspec.structs.replace(found, finished=0)
    path = machine.root / journal.PATH.lstrip("/")
    with subprocess.Popen(["sleep", "60"]) as other:
        node, _, start = found.owner.split(" ")
        stat = Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()[19]
        for owner, busy in (
            (f"{node} {other.pid} {stat}", True),
            (f"{node} {other.pid} 1{start}", False),
            (f"elsewhere {other.pid} {stat}", True),
        ):
            text = to_json(msgspec.structs.replace(going_on, owner=owner, when=int(time.time())))
            path.write_text(text)
            assert bool(journal.busy(journal.load(machine) or going_on)) is busy
            if busy:
                with pytest.raises(RefusedError, match="is being armed by"):
                    recover(machine, _quiet)
                with pytest.raises(RefusedError, match="is being armed by"):
                    disarm(machine, _quiet)
        other.kill()
    # Whoever was silent for long, elsewhere, is dead.
    path.write_text(to_json(msgspec.structs.replace(going_on, owner="elsewhere 1 1", when=1)))
    assert recover(machine, _quiet) is None
    assert state_of(machine.root) == before


def _switched_off(root: Path, unit: str, *, masked: bool) -> None:
    """As hardening profiles leave it."""
    (root / f"etc/systemd/system/multi-user.target.wants/{unit}.service").unlink()
    if masked:
        (root / f"etc/systemd/system/{unit}.service").symlink_to("/dev/null")


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(("name", "unit"), [("el9", "kdump"), ("suse", "kdump")])
def test_a_service_that_is_off(
    name: str, unit: str, live: bool, masked: bool, tmp_path: Path
) -> None:
    tools = ("grubby", "grub2-mkconfig", "systemctl")
    machine = _machine(name, tmp_path / "root", *tools)
    _switched_off(machine.root, unit, masked=masked)
    host = machine if live else TreeHost(machine.root)
    before = state_of(machine.root)
    facts, work = look_and_plan(host, _POLICY)
    assert facts.service is not None and not facts.service.enabled
    apply(host, work, _quiet)
    facts, again = look_and_plan(host, _POLICY)
    assert again.deeds == ()
    assert facts.service is not None
    assert (facts.service.enabled, facts.service.masked) == (True, False)
    if live:
        commands = [c for c in machine.ran if c.startswith("systemctl")]
        assert commands == [
            *([f"systemctl unmask {unit}.service"] if masked else []),
            f"systemctl enable {unit}.service",
            f"systemctl is-enabled {unit}.service",
        ]
    undone = disarm(host, _quiet)
    assert undone is not None and undone.complete
    assert state_of(machine.root) == before


@pytest.mark.parametrize("live", [False, True])
def test_a_service_of_run_levels(live: bool, tmp_path: Path) -> None:
    machine = _machine("el6", tmp_path / "root", "grubby", "chkconfig")
    (machine.root / "etc/rc.d/rc3.d/S20kdump").unlink()
    for level in "0123456":
        folder = machine.root / f"etc/rc.d/rc{level}.d"
        folder.mkdir(exist_ok=True)
        (folder / "K80kdump").symlink_to("../init.d/kdump")
    host = machine if live else TreeHost(machine.root)
    before = state_of(machine.root)
    apply(host, look_and_plan(host, _POLICY)[1], _quiet)
    for level in "2345":
        link = machine.root / f"etc/rc.d/rc{level}.d/S20kdump"
        assert link.readlink() == Path("../init.d/kdump")
    assert look_and_plan(host, _POLICY)[1].deeds == ()
    undone = disarm(host, _quiet)
    assert undone is not None and undone.complete
    assert state_of(machine.root) == before


def test_a_transactional_system_gets_a_new_snapshot(tmp_path: Path) -> None:
    machine = _machine("suse", tmp_path / "root", "transactional-update", "systemctl")
    write(machine.root, {"etc/os-release": 'ID="sle-micro"\nVERSION_ID="5.5"\n'})
    policy = Policy(crashkernel="300M,high 72M,low")
    _, work = look_and_plan(machine, policy)
    command = work.deeds[0].step()
    assert command.command == (
        "transactional-update", "--non-interactive", "setup-kdump", "--crashkernel=72,300",
    )  # fmt: skip
    assert command.undo == "transactional-update rollback last"


def test_firmware_assisted_dump_needs_no_crashkernel(tmp_path: Path) -> None:
    machine = _machine("el9", tmp_path / "root", "grubby", "systemctl")
    write(machine.root, {"sys/kernel/fadump/registered": "1\n"})
    _, work = look_and_plan(machine, Policy())
    assert not any("crashkernel" in str(deed.step()) for deed in work.deeds)


@pytest.mark.parametrize("both", [False, True])
def test_el7_started_by_uefi(both: bool, tmp_path: Path) -> None:
    """Its grub.cfg lies on the system partition; one in /boot/grub2 counts for nothing."""
    machine = _machine("el7", tmp_path / "root", "grub2-mkconfig", "systemctl")
    own = "boot/efi/EFI/centos/grub.cfg"
    write(machine.root, {own: machine.text("boot/grub2/grub.cfg")})
    (machine.root / "sys/firmware/efi").mkdir(parents=True)
    if not both:
        (machine.root / "boot/grub2/grub.cfg").unlink()
    facts, work = look_and_plan(machine, _POLICY)
    assert facts.boot is not None and facts.boot.source == f"/{own}"
    commands = [deed.step().command for deed in work.deeds]
    assert ("grub2-mkconfig", "-o", f"/{own}") in commands
    # In a tree nobody knows: whatever there is gets it.
    tree = TreeHost(machine.root)
    apply(tree, look_and_plan(tree, _POLICY)[1], _quiet)
    for path in machine.root.glob("boot/**/grub.cfg"):
        assert "crashkernel=256M" in path.read_text()
