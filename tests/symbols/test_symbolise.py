"""Symbolising against gcc's own output: functions are placed by #line, so that lines are known."""

import shutil
import subprocess
from pathlib import Path

import pytest

from kautopsy.model.crash import Crash, Frame, Kind
from kautopsy.model.errors import UnreadableError
from kautopsy.symbols.lines_annotate import annotate
from kautopsy.symbols.symbolise import Symboliser

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None or shutil.which("objdump") is None,
    reason="gcc makes the ELF files, binutils tell what is in them",
)

# Two functions of one name with different sizes, two with the same, one that calls another as its
# last deed (so that the return address is in the next function), one with an inlined part.
IMAGE = r"""
extern int sink;
int sink;
#line 10 "fs/one.c"
__attribute__((noreturn, noinline)) void never(void)
{
    for (;;)
        sink++;
}
#line 30 "fs/one.c"
__attribute__((noinline)) void last_call(void)
{
    sink = 7;
    never();
}
#line 50 "include/part.h"
static inline __attribute__((always_inline)) int part(int x)
{
    __asm__ volatile("part_here_%=: nop" : "+r"(x));
    return x;
}
#line 70 "fs/one.c"
__attribute__((noinline)) int whole(int x)
{
    sink += x;
    x = part(x);
    sink += x;
    return x;
}
#line 90 "fs/one.c"
static __attribute__((noinline, used)) int twin(int x)
{
    sink = x;
    return x + 1;
}
static __attribute__((noinline, used)) int same(int x)
{
    sink = x;
    return x + 1;
}
int _start(int x) { last_call(); return whole(x) + twin(x) + same(x); }
"""
SECOND = r"""
extern int sink;
#line 200 "fs/two.c"
static __attribute__((noinline, used)) int twin(int x)
{
    for (int i = 0; i < x; i++)
        sink += i * sink;
    return x + sink * 77;
}
static __attribute__((noinline, used)) int same(int x)
{
    sink = x;
    return x + 1;
}
int two(int x) { return twin(x) + same(x); }
"""
MODULE = r"""
extern int sink;
#line 5 "drivers/mod.c"
__attribute__((section(".init.text"))) int init_module(void) { return 0; }
#line 20 "drivers/mod.c"
__attribute__((noinline)) int mod_work(int x)
{
    sink = x;
    return x;
}
__attribute__((section(".text.unlikely"))) int mod_cold(int x) { return sink + x; }
"""


def _gcc(*arguments: str, cwd: Path) -> None:
    subprocess.run(
        ["gcc", "-g", "-O2", "-fno-pie", "-fno-ipa-icf", "-ffunction-sections", *arguments],
        check=True,
        cwd=cwd,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elf")
    for name, source in (("image.c", IMAGE), ("second.c", SECOND), ("mod.c", MODULE)):
        (folder / name).write_text(source)
    _gcc("-no-pie", "-nostdlib", "-static", "-o", "vmlinux", "image.c", "second.c", cwd=folder)
    (folder / "modules").mkdir()
    _gcc("-c", "-o", "modules/my-mod.ko", "mod.c", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def symboliser(built: Path) -> Symboliser:
    return Symboliser(built / "vmlinux", [built / "modules"])


def _symbols(path: Path) -> list[tuple[int, str]]:
    """Address and name of every symbol, from nm."""
    out = subprocess.run(["nm", "-n", str(path)], check=True, capture_output=True, text=True).stdout
    rows = (line.split() for line in out.splitlines())
    return [(int(row[0], 16), row[2]) for row in rows if len(row) == 3]


def _places(path: Path, name: str) -> list[tuple[int, int]]:
    """Address and distance to the next symbol of every function of that name."""
    symbols = _symbols(path)
    addresses = sorted({address for address, _ in symbols})
    following = dict(zip(addresses, [*addresses[1:], addresses[-1]], strict=True))
    return [(a, following[a] - a) for a, n in symbols if n == name]


def _calls(path: Path, caller: str) -> list[int]:
    """Addresses right after each call in a function, from objdump: return addresses."""
    out = subprocess.run(
        ["objdump", "-dw", f"--disassemble={caller}", str(path)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    rows = [line.split("\t") for line in out.splitlines() if line.startswith("  ")]
    return [
        int(row[0].strip().rstrip(":"), 16) + len(row[1].split())
        for row in rows
        if row[2].startswith("call")
    ]


def _line(path: Path, address: int) -> str:
    """``file:line`` of an address by addr2line, whose file is not always that of ``#line``."""
    out = subprocess.run(
        ["addr2line", "-e", str(path), hex(address)], check=True, capture_output=True, text=True
    ).stdout
    return out.split(" ")[0].strip()


def test_a_name_and_a_size_are_one_place(built: Path, symboliser: Symboliser) -> None:
    places = _places(built / "vmlinux", "twin")
    assert len({size for _, size in places}) == 2, "the compiler made the twins alike"
    for address, size in places:
        (location,) = symboliser.locate("twin", 0, size=size).locations
        assert location.address == address
    files = {
        symboliser.locate("twin", 0, size=size).locations[0].lines[-1].file for _, size in places
    }
    assert files == {"fs/one.c", "fs/two.c"}


def test_every_candidate_is_shown(built: Path, symboliser: Symboliser) -> None:
    assert len(_places(built / "vmlinux", "twin")) == 2
    found = symboliser.locate("twin", 0)
    assert [location.address for location in found.locations] == [
        address for address, _ in sorted(_places(built / "vmlinux", "twin"))
    ]
    # An ambiguous frame is left alone rather than given the first.
    frame = Frame(function="twin", offset=1)
    assert symboliser.frames(frame) == (frame,)


def test_a_return_address_is_looked_up_at_the_call(built: Path, symboliser: Symboliser) -> None:
    image = built / "vmlinux"
    (start, size) = _places(image, "whole")[0]
    (entry,) = symboliser.locate("whole", 0, size=size).locations
    assert _line(image, start).rpartition(":")[2] == str(entry.lines[-1].line)
    start, size = _places(image, "last_call")[0]
    after = _calls(image, "last_call")
    if not after:
        pytest.skip("this compiler makes the last call a jump")
    offset = after[-1] - start
    (location,) = symboliser.locate("last_call", offset, size=size, return_address=True).locations
    assert (location.lines[-1].function, location.lines[-1].line) == ("last_call", 33)
    assert symboliser.address(after[-1], return_address=True).locations[0].place.function == (
        "last_call"
    )


def test_inlined_functions_come_first(built: Path, symboliser: Symboliser) -> None:
    address = next(a for a, n in _symbols(built / "vmlinux") if n.startswith("part_here"))
    (location,) = symboliser.address(address).locations
    assert [(line.function, line.file, line.line, line.inline) for line in location.lines] == [
        ("part", "include/part.h", 52, True),
        ("whole", "fs/one.c", 73, False),
    ]


def test_frames_become_frames_with_lines(built: Path) -> None:
    # An image without the label in it, which would cut whole() in two for kallsyms as well.
    text = IMAGE.replace('"part_here_%=: nop"', '"nop"')
    (built / "plain.c").write_text(text)
    _gcc("-no-pie", "-nostdlib", "-static", "-o", "plain", "plain.c", "second.c", cwd=built)
    start, size = _places(built / "plain", "whole")[0]
    plain = Symboliser(built / "plain")
    offset = next(
        o for o in range(size) if len(plain.locate("whole", o, size=size).locations[0].lines) == 2
    )
    crash = Crash(
        kind=Kind.BUG,
        title="",
        instruction=Frame(function="whole", offset=offset, size=size),
        frames=(
            Frame(function="whole", offset=offset, size=size),
            Frame(function="gone", offset=1, size=2),
            Frame(address=start),
        ),
    )
    done = plain.crash(crash)
    assert [(f.function, f.line, f.inline) for f in done.frames[:3]] == [
        ("part", 52, True),
        ("whole", 73, False),
        ("gone", None, False),
    ]
    assert done.instruction is not None
    assert (done.instruction.file, done.instruction.line) == ("fs/one.c", 73)
    assert plain.crash(done) == done, "lines are added once"


def test_kaslr_is_taken_off_raw_addresses(built: Path) -> None:
    start, _ = _places(built / "vmlinux", "never")[0]
    shifted = Symboliser(built / "vmlinux", kaslr_offset=0x1B800000)
    (location,) = shifted.address(start + 0x1B800000).locations
    assert location.place.function == "never"
    assert shifted.address(0x123).problem == "0x123 is in no function of vmlinux"


def test_modules_by_the_name_the_kernel_prints(built: Path, symboliser: Symboliser) -> None:
    (location,) = symboliser.locate("mod_work", 0, module="my_mod").locations
    assert location.lines[-1].file == "drivers/mod.c"
    assert location.lines[-1].line in range(20, 25)
    (cold,) = symboliser.locate("mod_cold", 0, module="my_mod").locations
    assert cold.lines[-1].line == 25
    (init,) = symboliser.locate("init_module", 0, module="my_mod").locations
    assert init.lines[-1].line == 5
    assert symboliser.locate("mod_work", 0).problem == "no function mod_work in vmlinux"


@pytest.mark.parametrize("ending", [".ko.debug", ".debug"])
def test_a_modules_debugging_information_may_lie_apart(
    built: Path, tmp_path: Path, ending: str
) -> None:
    (tmp_path / "my-mod.ko").write_bytes((built / "modules" / "my-mod.ko").read_bytes())
    apart = tmp_path / f"my-mod{ending}"
    objcopy = ["objcopy", "--only-keep-debug", "my-mod.ko", apart.name]
    subprocess.run(objcopy, check=True, cwd=tmp_path)
    subprocess.run(["objcopy", "--strip-debug", "my-mod.ko"], check=True, cwd=tmp_path)
    symboliser = Symboliser(built / "vmlinux", [tmp_path])
    (location,) = symboliser.locate("mod_work", 0, module="my_mod").locations
    assert location.lines[-1].file == "drivers/mod.c"


def test_what_cannot_be_found_says_why(symboliser: Symboliser) -> None:
    assert symboliser.locate("whole", 1, module="absent").problem == "no file of module absent"
    assert "another build" in (symboliser.locate("never", 1, size=0x7777).problem or "")
    assert "only" in (symboliser.locate("never", 0x7777).problem or "")


def test_files_that_will_not_do(built: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no ELF file")
    (tmp_path / "cut").write_bytes((built / "vmlinux").read_bytes()[:5000])
    subprocess.run(["strip", "-o", tmp_path / "bare", built / "vmlinux"], check=True)
    for name, slug in (("text", "not-elf"), ("bare", "no-dwarf")):
        with pytest.raises(UnreadableError) as caught:
            Symboliser(tmp_path / name)
        assert caught.value.slug == slug
    with pytest.raises(UnreadableError):
        Symboliser(tmp_path / "cut")
    with pytest.raises(UnreadableError) as caught:
        Symboliser(built / "modules" / "my-mod.ko")
    assert caught.value.slug == "not-an-image"
    with pytest.raises(OSError, match="No such file"):
        Symboliser(tmp_path / "absent")


def test_an_annotated_log(built: Path, symboliser: Symboliser) -> None:
    image = built / "vmlinux"
    start, size = _places(image, "never")[0]
    line = _line(image, start).rpartition(":")[2]
    (work,) = symboliser.locate("mod_work", 0, module="my_mod").locations
    module_size = work.place.size
    where = f"never+0x0/{size:#x}"
    log = [
        f"[    1.2] RIP: 0010:{where}\n",
        f"[    1.2]  [<ffffffff81000000>] {where}\n",
        "[    1.2]  unknown+0x1/0x2 [nothing]\n",
        f"[    1.2]  mod_work+0x0/{module_size:#x} [my_mod 0123456789abcdef]\n",
        "nothing to see\r\n",
    ]
    assert list(annotate(log, symboliser)) == [
        f"[    1.2] RIP: 0010:never (fs/one.c:{line})\n",
        f"[    1.2]  [<ffffffff81000000>] never (fs/one.c:{line})\n",
        "[    1.2]  unknown+0x1/0x2 [nothing]\n",
        f"[    1.2]  mod_work (drivers/mod.c:{work.lines[-1].line}) [my_mod 0123456789abcdef]\n",
        "nothing to see\r\n",
    ]
    (kept,) = annotate(log[:1], symboliser, keep_offsets=True)
    assert f"{where} (fs/one.c:{line})" in kept


def test_only_the_instruction_pointer_is_taken_as_it_is(
    built: Path, symboliser: Symboliser
) -> None:
    image = built / "vmlinux"
    start, size = _places(image, "last_call")[0]
    after = _calls(image, "last_call")
    if not after:
        pytest.skip("this compiler makes the last call a jump")
    at = f"last_call+{after[-1] - start:#x}/{size:#x}"
    for line in (f"{at}", f"pc : x lr : {at}", f"WARNING: at f.c:1 {at}()"):
        assert "fs/one.c:33" in next(annotate([line], symboliser)), line
    lines = list(annotate([f"RIP: 0010:{at}", f" {at}"], symboliser))
    assert all("fs/one.c:33" not in line for line in lines), "the faulting frame again"


def test_a_line_of_a_megabyte_takes_no_time(symboliser: Symboliser) -> None:
    # Quadratic time would be hours; the limit of a test ends it long before.
    for line in ("x+0x1/0x2 RIP: " * 60_000, "a" * 1_000_000 + "+0x1", "+0x" * 300_000):
        assert "".join(annotate([line], symboliser)) == line
