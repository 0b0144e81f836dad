from pathlib import Path

import pytest

from kautopsy.lab import accelerator
from kautopsy.lab.accelerator import choose
from kautopsy.lab.config import PATIENCE_VARIABLE, GuestConfig, Limits
from kautopsy.lab.errors import GuestLostError
from kautopsy.lab.facts import parse_facts
from kautopsy.lab.kernels import GuestKernel
from kautopsy.lab.qemu import Accelerator
from kautopsy.lab.series import SERIES
from kautopsy.model.errors import UsageError


def _kernel(series: str) -> GuestKernel:
    return GuestKernel(SERIES[series], "r", "p", "v", Path("/nonexistent"))


def test_patience_multiplies_every_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATIENCE_VARIABLE, "2.5")
    assert Limits(boot=10, silence=4).patient().boot == 25
    assert Limits(boot=10, silence=4).patient().silence == 10


@pytest.mark.parametrize("text", ["0", "-1", "much", "nan", "inf", ""])
def test_patience_must_be_a_number(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(PATIENCE_VARIABLE, text)
    with pytest.raises(UsageError):
        Limits().patient()


def test_the_dump_level_is_one_that_loses_nothing_on_this_kernel() -> None:
    assert GuestConfig(_kernel("6.1")).makedumpfile_arguments[:3] == ("-c", "-d", "31")
    assert GuestConfig(_kernel("7.2")).makedumpfile_arguments[:3] == ("-c", "-d", "23")
    chosen = GuestConfig(_kernel("7.2"), dump_level=0, makedumpfile=("-l",))
    assert chosen.makedumpfile_arguments[:3] == ("-l", "-d", "0")


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(accelerator, "version", lambda: "QEMU 1")
    (tmp_path / "kvm").touch()
    return tmp_path / "kvm"


def test_kvm_is_taken_after_a_guest_booted_and_asked_only_once(device: Path) -> None:
    asked: list[int] = []
    assert choose(lambda: asked.append(1), device=device) is Accelerator.KVM
    assert choose(lambda: asked.append(1), device=device) is Accelerator.KVM
    assert asked == [1]


def test_a_kvm_that_hangs_is_not_taken_until_qemu_changes(
    device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost() -> None:
        raise GuestLostError("nothing after 30 s")

    assert choose(lost, device=device) is Accelerator.TCG
    assert choose(lambda: pytest.fail("asked again"), device=device) is Accelerator.TCG
    monkeypatch.setattr(accelerator, "version", lambda: "QEMU 2")
    assert choose(lambda: None, device=device) is Accelerator.KVM


def test_without_the_device_nobody_is_asked(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert choose(lambda: pytest.fail("asked"), device=missing) is Accelerator.TCG


def test_facts() -> None:
    facts = parse_facts(
        "6.1.0-50\n#1 SMP Debian 6.1.176-1\nname\n2\n734228\n0.10 0.20 0.30 2/54 99\n12.50 20.1\n"
        "virtio_blk loop \n"
    )
    assert (facts.threads, facts.uptime_seconds, facts.cpus) == (54, 12.5, 2)
    assert facts.load_average == (0.1, 0.2, 0.3)
    assert facts.modules == ("loop", "virtio_blk")
