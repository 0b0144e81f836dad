"""What a user may want, what the defaults are for a kernel of some age, and what is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from kautopsy.arming import sysctl
from kautopsy.arming.policy import Policy, Target, checked, load
from kautopsy.model.errors import RefusedError, UnreadableError, UsageError
from kautopsy.model.host import (
    HostFacts,
    ImageFacts,
    KdumpSettings,
    KexecFacts,
    MemoryFacts,
    Sysctl,
    TargetFacts,
    TargetKind,
)

_PRESENT = {
    "sysrq": "438", "panic": "0", "panic_on_oops": "0", "softlockup_panic": "0",
    "watchdog_thresh": "10", "hardlockup_panic": "0", "unknown_nmi_panic": "0",
    "nmi_watchdog": "1",
}  # fmt: skip


def _facts(release: str, *, machine: str = "x86_64", **more: str | None) -> HostFacts:
    values = {**_PRESENT, **more}
    return HostFacts(
        live=True,
        root=True,
        release=release,
        machine=machine,
        kexec=KexecFacts(),
        memory=MemoryFacts(),
        settings=KdumpSettings(),
        image=ImageFacts(),
        target=TargetFacts(kind=TargetKind.LOCAL, path="/var/crash"),
        sysctls=tuple(
            Sysctl(name=f"kernel.{name}", value=value)
            for name, value in values.items()
            if value is not None
        ),
    )


def test_the_defaults() -> None:
    found = sysctl.wanted(_facts("6.1.0-50-amd64"), Policy())
    assert found.values == {
        "kernel.sysrq": "1",
        "kernel.panic": "10",
        "kernel.panic_on_oops": "1",
        "kernel.softlockup_panic": "1",
        "kernel.watchdog_thresh": "10",
        "kernel.hardlockup_panic": "1",
        "kernel.unknown_nmi_panic": "1",
    }
    assert found.notes == ()


def test_good_values_stay_and_the_policy_has_the_last_word() -> None:
    facts = _facts("6.1.0", sysrq="184", panic="-1", watchdog_thresh="30")
    values = sysctl.wanted(facts, Policy()).values
    assert values["kernel.sysrq"] == "184"
    assert values["kernel.panic"] == "-1"
    assert values["kernel.watchdog_thresh"] == "30"
    policy = Policy(sysctl={"kernel.panic": 5, "kernel.sysrq": False, "vm.panic_on_oom": 1})
    values = sysctl.wanted(facts, policy).values
    assert values["kernel.panic"] == "5"
    assert "kernel.sysrq" not in values
    assert values["vm.panic_on_oom"] == "1"
    assert sysctl.wanted(facts, Policy(defaults=False)).values == {}


@pytest.mark.parametrize(
    ("release", "watchdog"),
    # kernel of el5, el6, Debian 7 (both detectors clash), el7, and later
    [("2.6.18-419.el5", "0"), ("2.6.32-754.el6.x86_64", "0"), ("3.2.0-4-amd64", "0"),
     ("3.10.0-1160.el7.x86_64", None), ("6.12.0", None)],
)  # fmt: skip
def test_the_nmi_family_by_the_age_of_the_kernel(release: str, watchdog: str | None) -> None:
    found = sysctl.wanted(_facts(release), Policy())
    assert found.values["kernel.unknown_nmi_panic"] == "1"
    assert found.values.get("kernel.nmi_watchdog") == watchdog
    assert bool(found.notes) == (watchdog is not None)
    both = Policy(sysctl={"kernel.unknown_nmi_panic": 1, "kernel.nmi_watchdog": 1})
    if watchdog is None:
        assert sysctl.wanted(_facts(release), both).values["kernel.nmi_watchdog"] == "1"
    else:
        with pytest.raises(RefusedError) as caught:
            sysctl.wanted(_facts(release), both)
        assert caught.value.slug == "policy-conflict"
    # Who wants the watchdog gets it, and loses the default that clashes.
    one = sysctl.wanted(_facts(release), Policy(sysctl={"kernel.nmi_watchdog": 1}))
    assert one.values["kernel.nmi_watchdog"] == "1"
    assert ("kernel.unknown_nmi_panic" in one.values) == (watchdog is None)


def test_nmis_that_no_operator_sent_leave_unknown_nmi_panic_alone() -> None:
    facts = msgspec.structs.replace(
        _facts("6.1.0"), log=("Uhhuh. NMI received for unknown reason 21 on CPU 0.",)
    )
    found = sysctl.wanted(facts, Policy())
    assert "kernel.unknown_nmi_panic" not in found.values
    assert "nobody claims" in found.notes[0]
    wanted = Policy(sysctl={"kernel.unknown_nmi_panic": 1})
    assert sysctl.wanted(facts, wanted).values["kernel.unknown_nmi_panic"] == "1"
    ghes = msgspec.structs.replace(_facts("6.1.0"), modules=("ghes",))
    assert "kernel.unknown_nmi_panic" not in sysctl.wanted(ghes, Policy()).values


def test_other_architectures_and_what_the_kernel_does_not_have() -> None:
    arm = sysctl.wanted(_facts("6.1.0", machine="aarch64", unknown_nmi_panic=None), Policy())
    assert "kernel.unknown_nmi_panic" not in arm.values
    old = sysctl.wanted(_facts("3.10.0", hardlockup_panic=None), Policy())
    assert "kernel.hardlockup_panic" not in old.values
    assert old.notes == ("this kernel has no kernel.hardlockup_panic",)


def test_the_old_threshold_is_twice_the_new_one() -> None:
    facts = _facts("2.6.18-419.el5", watchdog_thresh=None, softlockup_thresh="10")
    values = sysctl.wanted(facts, Policy(sysctl={"kernel.watchdog_thresh": 15})).values
    assert values["kernel.softlockup_thresh"] == "30"
    assert "kernel.watchdog_thresh" not in values


@pytest.mark.parametrize(
    "values",
    [
        {"kernel.watchdog_thresh": 0},
        {"kernel.hung_task_panic": 1, "kernel.hung_task_timeout_secs": 0},
        {"kernel.kexec_load_disabled": 1},
    ],
)
def test_what_can_never_work_is_refused(values: dict[str, int]) -> None:
    with pytest.raises(RefusedError) as caught:
        sysctl.wanted(_facts("6.1.0"), Policy(sysctl=dict(values)))
    assert caught.value.slug == "policy-conflict"


def test_a_policys_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(
        'crashkernel = "512M,high 128M,low"\ntarget = "nfs://server.example/export/dumps"\n'
        'collector = "makedumpfile -l -d 31"\nnow = false\n[sysctl]\n"kernel.panic" = 30\n'
        '"kernel.sysrq" = false\n'
    )
    policy = load(path)
    assert policy.crashkernel == "512M,high 128M,low"
    assert policy.destination == Target(TargetKind.NFS, "/export/dumps", "server.example")
    assert policy.sysctl == {"kernel.panic": 30, "kernel.sysrq": False}
    assert not policy.now
    assert load(None) == Policy()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("crashkernel = ", UnreadableError),
        ('crashkernal = "256M"', UsageError),
        ("crashkernel = 256", UsageError),
        ('crashkernel = "lots"', UsageError),
        ('crashkernel = "256M; reboot"', UsageError),
        ('crashkernel = "$(id)"', UsageError),
        ('crashkernel = ""', UsageError),
        ('target = "relative"', UsageError),
        ('target = "ftp://server/x"', UsageError),
        ('target = "/var/cra\\nsh"', UsageError),
        ("target = \"/var/'x'\"", UsageError),
        ('collector = "cp"', UsageError),
        ('collector = "makedumpfile `id`"', UsageError),
        ('[sysctl]\n"net.ipv4.ip_forward" = 1', UsageError),
        ('[sysctl]\n"kernel.panic" = "1\\nkernel.x = 2"', UsageError),
        ('[sysctl]\n"kernel/panic" = 1', UsageError),
    ],
)
def test_a_bad_policy_is_one_line(text: str, error: type[Exception], tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(error):
        load(path)


def test_a_missing_policy(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError):
        load(tmp_path / "none.toml")


def test_targets() -> None:
    assert Policy(target="ssh://kdump@s/var/dumps").destination == Target(
        TargetKind.SSH, "/var/dumps", "kdump@s"
    )
    assert checked(Policy(target="nfs://s")).destination == Target(TargetKind.NFS, "/", "s")
    assert Policy(target="/srv").destination == Target(TargetKind.LOCAL, "/srv")
