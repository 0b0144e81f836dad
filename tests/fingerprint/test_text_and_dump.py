"""One crash, twice: what its console said, and what its dump says."""

from collections.abc import Callable

import pytest

from kautopsy.fingerprint import fingerprint
from kautopsy.lab.specimen import Specimen
from kautopsy.oops import read_text
from kautopsy.triage.autopsy import autopsy

pytestmark = pytest.mark.guest


@pytest.mark.parametrize("series", ["5.10", "6.1"])
def test_a_dump_and_its_console_agree(series: str, lab_vmcore: Callable[[str], Specimen]) -> None:
    specimen = lab_vmcore(series)
    (crash,) = read_text(specimen.console)
    # With DWARF, which shows inlined functions, and with what the dump itself knows.
    for report in (
        autopsy(specimen.vmcore, vmlinux=specimen.vmlinux()),
        autopsy(specimen.vmcore, debuginfo=False),
    ):
        assert report.crash is not None
        assert fingerprint(crash) == fingerprint(report.crash)
    assert crash.fingerprint == fingerprint(crash)
