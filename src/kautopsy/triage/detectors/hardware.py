"""Hardware errors that stand in memory, whatever the log says of them.

The kernel's own report of a machine check is read by the fault detector. But it may be missing: the
log was lost, the machine hung before it was printed, or the error was survived and nobody connected
it with what came later. The records themselves are in the dump (kernel/hardware.py). One that the
processor calls uncorrected with its context corrupt explains any death; an uncorrected one is a
suspicion; corrected ones are only told where there are hundreds.
"""

from __future__ import annotations

from collections.abc import Iterator

from kautopsy.kernel.hardware import HardwareError, hardware_errors
from kautopsy.model.crash import Kind
from kautopsy.model.finding import Evidence, Finding, Severity
from kautopsy.triage.detector import Need, detector
from kautopsy.triage.numbers import several
from kautopsy.triage.scene import Scene

_MANY = 100
"""Corrected errors; some in a year are the life of a large machine."""

_CONFIDENCE = {"fatal": 0.85, "uncorrected": 0.55, "recoverable": 0.4, "corrected": 0.3}


@detector(Need.TYPES)
def detect(scene: Scene) -> Iterator[Finding]:
    """Yield at most one finding, unless the crash was reported as one already."""
    records = scene.rows(hardware_errors, "hardware errors")
    telling = [one for one in records if one.severity != "corrected" or one.count >= _MANY]
    if telling and scene.crash.kind is not Kind.MACHINE_CHECK:
        yield _finding(telling)


def record_evidence(record: HardwareError) -> Evidence:
    """One record for people."""
    where = "" if record.bank is None else f", bank {record.bank}"
    on = "" if record.cpu is None else f", CPU {record.cpu}"
    status = "" if record.status is None else f", status {record.status:#018x}"
    at = "" if record.address is None else f", physical address {record.address:#x}"
    times = f"{record.count} × " if record.count > 1 else ""
    return Evidence(
        what=f"{record.source} in memory",
        value=f"{times}{record.severity}{on}{where}{status}{at}: {record.what}",
        show="sql: select * from hardware_errors",
    )


def _finding(records: list[HardwareError]) -> Finding:
    worst = max(records, key=lambda one: _CONFIDENCE.get(one.severity, 0.3))
    confidence = _CONFIDENCE.get(worst.severity, 0.3)
    return Finding(
        kind=Kind.MACHINE_CHECK,
        title=f"the hardware reported {worst.severity} errors ({worst.source})",
        explanation=(
            f"In memory there {'is' if len(records) == 1 else 'are'} "
            f"{several(len(records), 'record')} of hardware errors, the worst "
            f"{worst.severity}. The kernel did not say that it stopped because of them, but memory "
            "or a processor that fails explains anything."
        ),
        confidence=confidence,
        severity=Severity.FATAL if confidence >= 0.5 else Severity.WARNING,
        evidence=tuple(record_evidence(one) for one in records[:6]),
        next=(
            "Read the system event log of the management controller (ipmitool sel elist).",
            "Decode the records with mcelog or rasdaemon; replace what they name.",
        ),
        key=f"machine-check:{worst.source}",
    )
