"""The rehearsal as one more of the doctor's checks."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from kautopsy.arming.distribution import family_of
from kautopsy.arming.sizing import sizing
from kautopsy.drill.rehearsal.baggage import NothingToRehearseError, pack
from kautopsy.drill.rehearsal.stage import Ending, Outcome, rehearse
from kautopsy.host.host import Host
from kautopsy.model.errors import UsageError
from kautopsy.model.host import HostFacts
from kautopsy.model.readiness import Check, CheckStatus, DoctorDocument

ID = "rehearsal"
_STATUS = {
    Ending.SAVED: CheckStatus.PASS,
    Ending.BOOTED: CheckStatus.WARN,
    Ending.NOT_LOADED: CheckStatus.FAIL,
    Ending.NOT_BOOTED: CheckStatus.FAIL,
    Ending.NOT_SAVED: CheckStatus.FAIL,
    Ending.OUT_OF_MEMORY: CheckStatus.FAIL,
}
_STEP_MIB = 32


def size_to_rehearse(facts: HostFacts, asked: int | None) -> int:
    """MiB: what was asked for, else what is reserved, else what would be recommended.

    :raises UsageError: less than a kernel can be loaded into
    """
    if asked is not None:
        if asked < _STEP_MIB:
            raise UsageError("MiB hold no kernel", thing=str(asked), slug="bad-size")
        return asked
    return ((facts.kexec.size or 0) or sizing(facts).recommended) >> 20


def with_rehearsal(
    document: DoctorDocument,
    host: Host,
    facts: HostFacts,
    *,
    mib: int | None = None,
) -> DoctorDocument:
    """``document`` with the rehearsal's check before all others, and the verdict that follows.

    :param mib: to reserve; None takes what is reserved
    """
    size = size_to_rehearse(facts, mib)
    with tempfile.TemporaryDirectory(prefix="kautopsy-rehearsal-") as name:
        folder = Path(name)
        try:
            baggage = pack(host, facts, folder)
        except NothingToRehearseError as error:
            check = Check(
                id=ID,
                status=CheckStatus.SKIP,
                summary=f"nothing to rehearse: {error.what}",
                fix=error.hint,
            )
        else:
            check = _check(rehearse(baggage, size, folder), facts)
    checks = (check, *document.checks)
    ready = False if check.status is CheckStatus.FAIL else document.ready
    return msgspec.structs.replace(document, ready=ready, checks=checks)


def _check(outcome: Outcome, facts: HostFacts) -> Check:
    fix = ""
    if outcome.ending in (Ending.OUT_OF_MEMORY, Ending.NOT_LOADED):
        enough = max(sizing(facts).recommended >> 20, outcome.mib + _STEP_MIB)
        fix = family_of(facts.os).set_crashkernel(facts, f"{enough}M")
    elif outcome.ending in (Ending.NOT_BOOTED, Ending.NOT_SAVED):
        fix = family_of(facts.os).rebuild(facts)
    return Check(
        id=ID,
        status=_STATUS[outcome.ending],
        summary=outcome.detail,
        evidence=f"{outcome.proof} (rehearsed in {outcome.seconds:.0f} s)",
        fix=fix,
    )
