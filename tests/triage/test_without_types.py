"""A dump that has a symbol table and nothing else still says where it stopped."""

from collections.abc import Callable

import pytest

from kautopsy.lab.specimen import Specimen
from kautopsy.model.report import SymbolSource
from kautopsy.symbols import rungs
from kautopsy.symbols.btf.parse import BtfError
from kautopsy.triage import reported
from kautopsy.triage.autopsy import autopsy

pytestmark = pytest.mark.guest


@pytest.fixture
def specimen(lab_vmcore: Callable[[str], Specimen], monkeypatch: pytest.MonkeyPatch) -> Specimen:
    def no_btf(*_arguments: object, **_keywords: object) -> None:
        raise BtfError("none")

    monkeypatch.setattr(rungs, "read_btf", no_btf)
    return lab_vmcore("6.1")


def test_the_log_is_read_and_nothing_is_claimed(specimen: Specimen) -> None:
    report = autopsy(specimen.vmcore, debuginfo=False)
    assert report.symbols.source is SymbolSource.KALLSYMS
    assert report.crash is not None and report.crash.kind == "operator-sysrq"
    assert "sysrq_handle_crash" in [frame.function for frame in report.crash.frames]
    # Whether it hung before, nobody could look.
    assert report.verdict is not None and report.verdict.kind == "unknown"


def test_without_the_log_the_stack_is_shown_as_unreliable(
    specimen: Specimen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reported, "read_text", lambda _text: [])
    report = autopsy(specimen.vmcore, debuginfo=False)
    assert report.crash is not None
    first, *rest = report.crash.frames
    assert first.reliable and first.function == "__crash_kexec"
    assert "sysrq_handle_crash" in [frame.function for frame in rest]
    assert not any(frame.reliable for frame in rest)
