"""A kit made from a vmlinux tells the lines that the vmlinux itself tells."""

import shutil
import subprocess
from array import array
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from kautopsy.cli.main import main
from kautopsy.model.crash import Crash, Frame, Kind
from kautopsy.model.errors import UnreadableError
from kautopsy.symbols import kit, kit_vmlinux
from kautopsy.symbols.kallsyms import Kallsyms
from kautopsy.symbols.lines_kit import KitLines
from kautopsy.symbols.symbolise import Symboliser

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")

IMAGE = """\
int counter;
static __attribute__((noinline)) int step(int by)
{
    counter += by;
    return counter;
}
int caller(int n)
{
    int sum = step(n);
    return sum + step(2);
}
void _start(void) { caller(1); for (;;) ; }
"""
BUILD_ID = "ab" * 20


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A linked image, and a kit of its symbols and lines."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "image.c").write_text(IMAGE)
    subprocess.run(
        ["gcc", "-g", "-O1", "-no-pie", "-nostdlib", "-static", "-o", "vmlinux", "image.c"],
        cwd=folder,
        check=True,
    )
    with (folder / "vmlinux").open("rb") as file:
        elf = ELFFile(file)
        symbols = kit_vmlinux._symbols(elf)
        lines = kit_vmlinux._lines(elf)
    saved = kit.save(
        kit.Kit(
            about=kit.KitAbout(
                build_id=BUILD_ID,
                release="6.1.0-image",
                origin="vmlinux",
                first_address=symbols.addresses[0],
            ),
            symbols=symbols,
            btf={},
            lines=lines,
        ),
        folder,
    )
    return folder / "vmlinux", Path(saved.path)


def _size(image: Path, name: str) -> int:
    places = Symboliser(image).locate(name).locations
    return places[0].place.size


def test_a_kit_gives_the_lines_of_its_vmlinux(built: tuple[Path, Path]) -> None:
    image, path = built
    own, of_kit = Symboliser(image), Symboliser(path)
    compared = 0
    for name in ("step", "caller", "_start"):
        for offset in range(1, _size(image, name)):
            ours = own.locate(name, offset).locations
            kits = of_kit.locate(name, offset).locations
            assert [place.lines[-1:] for place in ours] == [place.lines[-1:] for place in kits]
            compared += 1
    assert compared > 20


def test_oops_takes_a_kit_by_its_path_and_by_release(
    built: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    image, path = built
    size = _size(image, "caller")
    log = tmp_path / "console.log"
    log.write_text(
        "[    1.000000] BUG: kernel NULL pointer dereference, address: 0000000000000008\n"
        "[    1.000001] CPU: 0 PID: 1 Comm: init Not tainted 6.1.0-image #1\n"
        f"[    1.000002] RIP: 0010:caller+0x4/{size:#x}\n"
        "[    1.000003] Call Trace:\n"
        f"[    1.000004]  caller+0x9/{size:#x}\n"
        "[    1.000005] ---[ end trace 0000000000000000 ]---\n"
    )
    assert main(["oops", "--kit", str(path), str(log)]) == 0
    named = capsys.readouterr().out
    assert "image.c:9" in named
    monkeypatch.setenv("KAUTOPSY_KIT_PATH", str(path.parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["oops", str(log)]) == 0
    assert capsys.readouterr().out == named
    assert main(["oops", "--annotate", str(log)]) == 0
    assert "image.c:10)" in capsys.readouterr().out


def test_addresses_are_moved_back_by_what_the_text_says(built: tuple[Path, Path]) -> None:
    image, path = built
    place = Symboliser(image).locate("step", 1).locations[0]
    crash = Crash(
        kind=Kind.BUG,
        title="kernel BUG",
        frames=(Frame(address=place.address + 0x1000),),
        kernel_offset=0x1000,
    )
    for source in (image, path):
        frame = Symboliser(source).crash(crash).frames[-1]
        assert (frame.function, frame.line) == ("step", place.lines[-1].line)


def test_a_hosts_kit_has_no_lines_and_says_so(tmp_path: Path) -> None:
    saved = kit.save(
        kit.Kit(
            about=kit.KitAbout(build_id=BUILD_ID, release="6.1.0", origin="local"),
            symbols=Kallsyms(["_stext"], "T", array("Q", [0xFFFFFFFF81000000])),
            btf={},
        ),
        tmp_path,
    )
    with pytest.raises(UnreadableError, match="no source lines"):
        KitLines(Path(saved.path))
