"""Against a real kernel: what it printed itself, and what addr2line says of its vmlinux."""

import re
import shutil
import subprocess
from collections.abc import Callable
from random import Random

import drgn
import pytest

from kautopsy.lab.specimen import Specimen
from kautopsy.symbols.lines_annotate import annotate
from kautopsy.symbols.symbolise import Symboliser

pytestmark = pytest.mark.guest
_FRAME = re.compile(r"^\[ *\d+\.\d+\](?:\[[^]]*\])? +(?:\? )?(\w[\w.]*)\+(0x\w+)/(0x\w+)$", re.M)
_ADDRESSES = 200


@pytest.fixture(scope="module")
def lab(lab_vmcore: Callable[[str], Specimen]) -> tuple[Specimen, Symboliser]:
    specimen = lab_vmcore("6.1")
    return specimen, Symboliser(specimen.vmlinux())


def test_every_frame_the_kernel_printed_is_found(lab: tuple[Specimen, Symboliser]) -> None:
    specimen, symboliser = lab
    frames = _FRAME.findall(specimen.console)
    assert len(frames) > 5
    for function, offset, size in frames:
        found = symboliser.locate(
            function, int(offset, 16), size=int(size, 16), return_address=True
        )
        # The size is the running kernel's kallsyms' own: one that did not fit would show here.
        assert found.locations, f"{function}+{offset}/{size}: {found.problem}"
        for location in found.locations:
            outermost = location.lines[-1]
            if (outermost.file or "").endswith(".S"):
                # Labels of assembler are symbols, but no functions that DWARF knows.
                continue
            assert (outermost.function or "").split(".")[0] == function.split(".")[0]
    text = "".join(annotate(specimen.console.splitlines(keepends=True), symboliser))
    assert "sysrq_handle_crash (drivers/tty/sysrq.c:" in text


@pytest.mark.skipif(shutil.which("addr2line") is None, reason="addr2line is in binutils")
def test_lines_are_those_of_addr2line(lab: tuple[Specimen, Symboliser]) -> None:
    specimen, symboliser = lab
    symbols = [
        symbol
        for symbol in symboliser.symbols()
        if symbol.kind is drgn.SymbolKind.FUNC and symbol.size > 16
    ]
    drawn = Random(7)
    addresses = [
        symbol.address + drawn.randrange(symbol.size)
        for symbol in drawn.sample(symbols, _ADDRESSES)
    ]
    out = subprocess.run(
        ["addr2line", "-e", specimen.vmlinux(), *map(hex, addresses)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    agree = 0
    for address, theirs in zip(addresses, out, strict=True):
        locations = symboliser.address(address).locations
        innermost = locations[0].lines[0] if locations and locations[0].lines else None
        ours = f"{innermost.file}:{innermost.line}" if innermost and innermost.line else "??:?"
        agree += ours.split("/")[-1] == re.sub(r" .*|(?<=\?:)0", "", theirs.split("/")[-1])
    # addr2line names the wrong file for what was inlined from a header, 2 in 100.
    assert agree >= 0.95 * _ADDRESSES
