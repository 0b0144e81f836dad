"""Is what came home a whole dump of the crash that is meant?

The order is the one in which a failure says most: the producer's own names and words, the dump's
headers, its size against its page descriptors, then what its log tells.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kautopsy.dump.header import read_dump
from kautopsy.model.capture import Capture, CaptureState
from kautopsy.model.errors import UnreadableError
from kautopsy.model.readiness import Check, CheckStatus

# How a kernel's log ends that died. sysrq-c is an oops before 4.20.
_DEATH = re.compile(
    r"Kernel panic - not syncing|sysrq: .*Trigger a crash|SysRq : Trigger a crash"
    r"|BUG: |Oops: |Oops - |Unable to handle kernel|general protection fault"
    r"|NMI: Not continuing|An NMI occurred|hard LOCKUP|system reset"
)
_SLACK = 3600
"""Seconds by which a dump may seem older than its trigger: capture kernels have no NTP."""


@dataclass(frozen=True)
class Expected:
    """What is known of the crash that the dump must be of; None: nothing is.

    :param when: when it was triggered, by the machine's clock
    :param before: dumps that were there before that
    :param boot_id: of the boot that died; the one that runs now must be another
    """

    release: str | None = None
    when: float | None = None
    before: Sequence[str] | None = None
    boot_id: str | None = None
    nonce: str | None = None


def verify(
    capture: Capture,
    dump: Path,
    log: Sequence[str] | None,
    expected: Expected | None = None,
    *,
    boot_id: str | None = None,
) -> tuple[Check, ...]:
    """Every check.

    :param log: the dead kernel's, from the dump or from beside it; None: it cannot be read
    :param boot_id: of the boot that runs now
    """
    checks = [_producer(capture), *_headers(capture, dump, expected), _log(log)]
    if expected is not None:
        checks += _is_the_one(capture, log, expected, boot_id)
    return tuple(checks)


def is_good(checks: Sequence[Check]) -> bool:
    """Nothing failed."""
    return all(check.status is not CheckStatus.FAIL for check in checks)


def matches(capture: Capture, expected: Expected) -> bool:
    """Whether ``capture`` may be of the crash that was triggered, by what its listing tells.

    New since the trigger is proof enough; where nobody looked before it, the clock decides.
    """
    if expected.before is not None:
        return (capture.dump or capture.log) not in expected.before
    return expected.when is None or capture.when >= expected.when - _SLACK


def _check(name: str, good: bool | None, summary: str, evidence: str = "") -> Check:
    status = {True: CheckStatus.PASS, False: CheckStatus.FAIL, None: CheckStatus.UNKNOWN}[good]
    return Check(id=name, status=status, summary=summary, evidence=evidence)


def _producer(capture: Capture) -> Check:
    good = {CaptureState.COMPLETE: True, CaptureState.RUNNING: False}.get(capture.state, False)
    summary = {
        CaptureState.COMPLETE: f"{capture.producer} was done with it",
        CaptureState.RUNNING: "it was still being written",
    }.get(capture.state, f"{capture.producer} did not finish it")
    return _check("producer-status", good, summary, capture.status)


def _headers(capture: Capture, dump: Path, expected: Expected | None) -> list[Check]:
    try:
        header = read_dump(dump)
    except UnreadableError as error:
        return [_check("header", False, error.what, error.hint)]
    words = f"{header.format}, {header.size_bytes} bytes, {header.release or 'release unknown'}"
    checks = [
        _check(
            "header",
            header.complete,
            "its headers and its size say that it is whole"
            if header.complete
            else "; ".join(header.problems) or "its header says that it is incomplete",
            words,
        )
    ]
    if expected is not None and expected.release and header.release:
        same = header.release == expected.release
        checks.append(
            _check(
                "release",
                same,
                "it is of the kernel that ran"
                if same
                else f"it is of {header.release}, and {expected.release} ran",
            )
        )
    return checks


def _log(log: Sequence[str] | None) -> Check:
    if log is None:
        return _check("log", None, "the dead kernel's log cannot be read")
    found = [line.strip() for line in log if _DEATH.search(line)]
    if not found:
        return _check("log", False, f"its log ({len(log)} lines) tells of no crash")
    return _check("log", True, "its log tells of the crash", found[-1][:200])


def _is_the_one(
    capture: Capture, log: Sequence[str] | None, expected: Expected, boot_id: str | None
) -> list[Check]:
    checks = []
    if expected.before is not None:
        new = matches(capture, expected)
        checks.append(
            _check("new", new, "it was not there before" if new else "it is older than the trigger")
        )
    elif expected.when is not None:
        late = capture.when - expected.when
        good = late >= -_SLACK
        checks.append(
            _check(
                "time",
                good,
                "it was saved after the trigger" if good else "it is older than the trigger",
                f"{late:+.0f} s by the machine's clock",
            )
        )
    if expected.boot_id and boot_id:
        other = boot_id != expected.boot_id
        checks.append(
            _check(
                "boot-id",
                other,
                "the machine has booted since" if other else "the machine has not booted since",
                boot_id,
            )
        )
    if expected.nonce:
        if log is None:
            checks.append(_check("nonce", None, "without its log nobody can look for the nonce"))
        else:
            line = next((line for line in log if expected.nonce in line), None)
            checks.append(
                _check(
                    "nonce",
                    line is not None,
                    "the nonce is in its log: it is the dump of this crash"
                    if line is not None
                    else f"its log does not hold {expected.nonce}: it is of another crash",
                    (line or "").strip()[:200],
                )
            )
    return checks
