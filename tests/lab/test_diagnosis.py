import pytest

from kautopsy.lab.diagnosis import DEATH, PANIC, diagnose

PANICKED = [
    "[   11.490334] sysrq: Trigger a crash",
    "[   11.490400] Kernel panic - not syncing: sysrq triggered crash",
]
BOOTED = "[    0.000000] Linux version 6.1.0-50-cloud-amd64 (builder@example.org)"
# The ends of consoles as real capture kernels left them.
CASES = [
    (
        [
            *PANICKED,
            BOOTED,
            "[    1.805179] Kernel panic - not syncing: System is deadlocked on memory",
        ],
        "ran out of memory: crashkernel=64M is too small",
    ),
    (
        [*PANICKED, "[   11.6] ---[ end Kernel panic - not syncing: sysrq triggered crash ]---"],
        "no capture kernel took over",
    ),
    (
        [
            *PANICKED,
            BOOTED,
            "[    2.1] Kernel panic - not syncing: VFS: Unable to mount root fs on"
            " unknown-block(0,0)",
        ],
        "found nothing to run",
    ),
    (
        [*PANICKED, BOOTED, "writing page to dump file: No space left on device"],
        "target is full",
    ),
    (
        [*PANICKED, BOOTED, "[    2.1] Kernel panic - not syncing: Fatal exception"],
        "panicked itself",
    ),
    ([*PANICKED, BOOTED, "[    2.0] Run /init as init process"], "fell silent"),
    (PANICKED, "printed nothing"),
]


@pytest.mark.parametrize(("lines", "reason"), CASES, ids=[case[1] for case in CASES])
def test_each_failure_has_its_reason_and_a_hint(lines: list[str], reason: str) -> None:
    found = diagnose(lines, crashkernel="64M")
    assert reason in found.reason
    assert found.hint


def test_the_line_that_proves_it_is_shown() -> None:
    assert "deadlocked on memory" in diagnose(CASES[0][0], crashkernel="64M").proof


@pytest.mark.parametrize(
    "line",
    [
        "[  8.460079] sysrq: Trigger a crash",
        "[  1.0] Kernel panic - not syncing: NMI: Not continuing",
        "[  1.0] BUG: kernel NULL pointer dereference, address: 0000000000000000",
        "[  1.0] general protection fault, probably for non-canonical address",
    ],
)
def test_death_is_recognised(line: str) -> None:
    assert PANIC.search(line)
    assert DEATH.search(line)


def test_a_capture_kernel_that_boots_is_proof_of_death_but_no_panic() -> None:
    assert DEATH.search(BOOTED)
    assert not PANIC.search(BOOTED)
