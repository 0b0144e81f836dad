"""The 64 MiB truth: every tool says ready, and the capture kernel dies. The doctor tells before."""

from __future__ import annotations

import pytest

from kautopsy.arming.answers import parse, script_text
from kautopsy.arming.doctor import examine
from kautopsy.arming.facts import from_answers
from kautopsy.lab.config import GuestConfig
from kautopsy.lab.errors import CaptureError
from kautopsy.lab.guest import Guest, State
from kautopsy.lab.kernels import fetch_kernel
from kautopsy.model.readiness import CheckStatus, DoctorDocument


def _doctor(guest: Guest) -> DoctorDocument:
    # The links that Debian's kdump-tools makes say which image is loaded.
    guest.run(
        "mkdir -p /var/lib/kdump && ln -s /boot/vmlinuz /boot/capture.img /var/lib/kdump/"
        " && mv /var/lib/kdump/capture.img /var/lib/kdump/initrd.img"
    )
    answers = parse(guest.run(script_text()).output)
    return examine(from_answers(answers, live=True))


@pytest.mark.guest
def test_a_reservation_that_is_too_small_is_told_before_it_kills() -> None:
    with Guest(GuestConfig(fetch_kernel("6.1"), crashkernel="64M")) as guest:
        guest.transition(State.ARMED)
        document = _doctor(guest)
        found = {check.id: check for check in document.checks}
        # What every distribution goes by says ready ...
        assert found["image-loaded"].status is CheckStatus.PASS
        assert found["crashkernel-reserved"].status is CheckStatus.PASS
        # ... and the doctor does not.
        assert document.ready is False
        size = found["crashkernel-size"]
        assert size.status is CheckStatus.FAIL
        assert "64 MiB are reserved" in size.summary
        assert "run out of memory" in size.summary
        assert {c.id for c in document.checks if c.status is CheckStatus.FAIL} == {size.id}
        with pytest.raises(CaptureError, match="ran out of memory"):
            guest.transition(State.CAPTURED)


@pytest.mark.guest
def test_a_reservation_that_is_called_enough_is_enough() -> None:
    with Guest(GuestConfig(fetch_kernel("6.1"), crashkernel="96M")) as guest:
        guest.transition(State.ARMED)
        document = _doctor(guest)
        size = next(check for check in document.checks if check.id == "crashkernel-size")
        assert size.status is CheckStatus.PASS, size
        assert document.ready is True
        guest.transition(State.CAPTURED)
