"""The dump's own tables against DWARF of the same kernel, on real dumps of four kernels."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import drgn
import pytest
from drgn import Object, Program, Type, TypeKind, sizeof
from drgn.commands import run_command
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.printk import get_dmesg

from kautopsy.lab.specimen import Specimen
from kautopsy.model.errors import UnreadableError
from kautopsy.model.report import SymbolSource
from kautopsy.symbols import kit, kit_vmlinux, rungs
from kautopsy.symbols.btf.find import read_btf
from kautopsy.symbols.btf.parse import BtfError, Kind
from kautopsy.symbols.engine import read_symbols
from kautopsy.symbols.index import KernelSymbols
from kautopsy.symbols.kallsyms import KallsymsError
from kautopsy.symbols.ladder import OpenedDump, open_program
from kautopsy.symbols.raw_stack import raw_stacks

pytestmark = pytest.mark.guest
# The table of globals' types was made from 5.10, 6.1 and 7.2: 6.12 is the one it never saw.
SERIES = ("5.10", "6.1", "6.12", "7.2")


def fails(error: Exception) -> Callable[..., Any]:
    def fail(*arguments: object, **keywords: object) -> Any:
        raise error

    return fail


@pytest.fixture(autouse=True, scope="module")
def no_kits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The user's own kits would stand in for what is taken away here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="module", params=SERIES)
def pair(
    request: pytest.FixtureRequest, lab_vmcore: Callable[[str], Specimen]
) -> tuple[OpenedDump, OpenedDump]:
    """The same dump with DWARF and without."""
    specimen = lab_vmcore(request.param)
    return (
        open_program(specimen.vmcore, vmlinux=specimen.vmlinux()),
        open_program(specimen.vmcore, debuginfo=False),
    )


def test_the_rung_is_said(pair: tuple[OpenedDump, OpenedDump]) -> None:
    dwarf, own = pair
    assert dwarf.symbols.source is SymbolSource.DWARF
    assert dwarf.symbols.vmlinux is not None
    assert own.symbols.source is SymbolSource.BTF
    [lacks] = own.symbols.notes
    assert lacks.startswith("no source lines")


def frames(program: Program) -> dict[int, list[tuple[int, int | None]]]:
    """Task → (pc, sp) of its frames that are not inline, up to user space."""
    found = {}
    for task in for_each_task(program, idle=True):
        trace: list[tuple[int, int | None]] = []
        try:
            for frame in program.stack_trace(task):
                if frame.is_inline:
                    continue
                if not frame.pc >> 63 and trace:
                    break
                trace.append((frame.pc, frame.sp))
        except (LookupError, ValueError):
            trace.append((0, None))
        found[task.value_()] = trace
    return found


def test_every_frame_of_every_task(pair: tuple[OpenedDump, OpenedDump]) -> None:
    dwarf, own = (frames(opened.program) for opened in pair)
    assert own == dwarf
    assert sum(map(len, own.values())) > 200


def test_panic_is_in_the_backtrace(pair: tuple[OpenedDump, OpenedDump]) -> None:
    names = [frame.name for frame in pair[1].program.crashed_thread().stack_trace()]
    assert names[0] == "__crash_kexec"
    assert "panic" in names[1:3]
    assert "sysrq_handle_crash" in names


def layout(type_: Type) -> list[object]:
    """Name, place, size, sort, sign and enumerators of members, nested ones without a tag too.

    Not the lengths of arrays: BTF makes ``int a[2][3]`` one of six, and ``a[0]`` one of none.
    """
    found: list[object] = []
    for member in type_.members or ():
        plain = member.type
        while plain.kind == TypeKind.TYPEDEF:
            plain = plain.type
        try:
            size = sizeof(plain)
        except TypeError:
            size = 0
        nested = plain.kind in (TypeKind.STRUCT, TypeKind.UNION) and plain.tag is None
        found.append(
            (
                member.name,
                member.bit_offset,
                member.bit_field_size,
                size,
                plain.kind,
                plain.is_signed if plain.kind == TypeKind.INT else None,
                [tuple(e) for e in plain.enumerators or ()]
                if plain.kind == TypeKind.ENUM
                else None,
                layout(plain) if nested else None,
            )
        )
    return found


def unique_names(opened: OpenedDump) -> list[str]:
    """``struct x`` and ``union x`` of the kernel that only one type is called."""
    symbols = KernelSymbols(read_symbols(opened.program, info(opened)))
    btf = read_btf(opened.program.read, symbols, None)
    seen: dict[str, int] = {}
    for at in btf.places:
        kind = btf.words[at + 1] >> 24 & 0x1F
        if kind in (Kind.STRUCT, Kind.UNION) and btf.words[at]:
            name = f"{Kind(kind).name.lower()} {btf.string(btf.words[at])}"
            seen[name] = seen.get(name, 0) + 1
    return [name for name, count in seen.items() if count == 1]


def info(opened: OpenedDump) -> Any:
    from kautopsy.dump.header import read_headers

    return read_headers(Path(opened.dump.path)).vmcoreinfo


def test_every_uniquely_named_layout(pair: tuple[OpenedDump, OpenedDump]) -> None:
    dwarf, own = pair
    compared, differing = 0, []
    for name in unique_names(own):
        try:
            theirs = dwarf.program.type(name)
        except LookupError:
            continue  # made by BPF's own tools, not by the compiler
        if theirs.members is None:
            continue
        ours = own.program.type(name)
        compared += 1
        if (ours.size, layout(ours)) != (theirs.size, layout(theirs)):
            differing.append(name)
    assert differing == []
    assert compared > 6000


@pytest.mark.parametrize(
    "command", ["ps", "log", "mod", "kmem -i", "kmem -s", "mount", "irq", "timer"]
)
def test_crash_commands_are_identical(pair: tuple[OpenedDump, OpenedDump], command: str) -> None:
    said = []
    for opened in pair:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            run_command(opened.program, f"crash {command}")
        said.append(out.getvalue())
    assert said[1] == said[0]
    assert len(said[1].splitlines()) > 3


def test_modules_explain_themselves(pair: tuple[OpenedDump, OpenedDump]) -> None:
    own = pair[1].program
    symbol = own.symbol("lo_ioctl")
    assert own.symbol(symbol.address + 1).name == "lo_ioctl"
    assert own.module(symbol.address).name == "loop"
    if info(pair[1]).release.startswith("5.10"):
        return  # modules have BTF since 5.11
    assert own.type("struct loop_device").member("lo_number").type.type_name() == "int"


# What follows is the same code on every kernel: 6.1 stands for all.


@pytest.fixture(scope="module")
def dump(lab_vmcore: Callable[[str], Specimen]) -> Specimen:
    return lab_vmcore("6.1")


def test_another_kernels_vmlinux_is_refused(
    dump: Specimen, lab_vmcore: Callable[[str], Specimen]
) -> None:
    wrong = lab_vmcore("5.10").vmlinux()
    with pytest.raises(UnreadableError) as caught:
        open_program(dump.vmcore, vmlinux=wrong)
    assert caught.value.slug == "wrong-vmlinux"
    right = open_program(dump.vmcore, debuginfo=False).dump.build_id
    assert right is not None and right in caught.value.what


def test_without_btf_there_are_names_the_log_and_raw_stacks(
    dump: Specimen, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = get_dmesg(open_program(dump.vmcore, debuginfo=False).program)
    monkeypatch.setattr(rungs, "read_btf", fails(BtfError("none")))
    opened = open_program(dump.vmcore, debuginfo=False)
    assert opened.symbols.source is SymbolSource.KALLSYMS
    assert any("unreliable" in note for note in opened.symbols.notes)
    assert get_dmesg(opened.program) == whole
    assert opened.program["init_uts_ns"].name.release.string_().decode() == opened.dump.release
    stacks = {stack.cpu: stack.frames for stack in raw_stacks(opened.program)}
    crashed = stacks[dump.cpu]
    assert crashed[0].function == "__crash_kexec" and crashed[0].reliable
    assert "sysrq_handle_crash" in [frame.function for frame in crashed]
    assert not any(frame.reliable for frame in crashed[1:])


def test_without_anything_it_is_said(dump: Specimen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rungs, "read_symbols", fails(KallsymsError("none")))
    opened = open_program(dump.vmcore, debuginfo=False)
    assert opened.symbols.source is SymbolSource.NONE
    assert len(opened.symbols.notes) == 2


def test_an_object_that_is_not_there_is_a_lookup_error(dump: Specimen) -> None:
    program = open_program(dump.vmcore, debuginfo=False).program
    for ask in (program.type, program.object, program.symbol, program.constant):
        with pytest.raises(LookupError):
            ask("struct kautopsy_nothing" if ask == program.type else "kautopsy_nothing")
    assert isinstance(program["schedule"], Object)
    assert program["schedule"].type_.kind == TypeKind.FUNCTION
    assert isinstance(program, drgn.Program)


def test_a_vmlinuxs_kit_stands_in_and_keeps_the_lines(
    dump: Specimen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = kit.save(kit_vmlinux.make(dump.vmlinux()), tmp_path)
    assert saved.build_id == open_program(dump.vmcore, debuginfo=False).dump.build_id
    monkeypatch.setenv(kit.PATH_VARIABLE, str(tmp_path))
    monkeypatch.setattr(rungs, "read_symbols", fails(KallsymsError("none")))
    opened = open_program(dump.vmcore, debuginfo=False)
    assert opened.symbols.source is SymbolSource.KIT
    assert any(saved.path in note for note in opened.symbols.notes)
    assert frames(opened.program) == frames(open_program(dump.vmcore, debuginfo=False).program)
    with_dwarf = open_program(dump.vmcore, vmlinux=dump.vmlinux()).program
    places = [
        {
            frame.name: tuple(frame.source())
            for frame in program.crashed_thread().stack_trace()
            if frame.name in ("sysrq_handle_crash", "write_sysrq_trigger", "ksys_write")
            and not frame.is_inline
        }
        for program in (opened.program, with_dwarf)
    ]
    assert len(places[0]) == 3
    assert places[0] == places[1]
