"""`kautopsy oops --source`: what a debugger's `list *FUNCTION+OFFSET` shows, frame by frame."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kautopsy.cli.main import main
from kautopsy.model.errors import ExitCode

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc makes the ELF file")

SOURCE = """\
int sink;

__attribute__((noinline)) int bottom(int *x)
{
    *x = 1;
    return *x + sink;
}

__attribute__((noinline)) int middle(int *x)
{
    int here = bottom(x);
    return here + 1;
}

int _start(void) { return middle(&sink); }
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("source") / "tree"
    tree.mkdir()
    (tree / "a.c").write_text(SOURCE)
    command = "gcc -g -O1 -fcf-protection=none -nostdlib -static -no-pie -o ../vmlinux a.c"
    subprocess.run(command.split(), check=True, cwd=tree)
    return tree


@pytest.fixture(scope="module")
def log(tree: Path) -> Path:
    """A log of a fault in bottom(), called by middle() where objdump says that the call returns."""
    vmlinux = tree.parent / "vmlinux"
    listing = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", str(vmlinux)],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    starts = {name: int(at, 16) for at, name in re.findall(r"^([0-9a-f]+) <(\w+)>:", listing, re.M)}
    call = re.search(r"call +[0-9a-f]+ <bottom>\n +([0-9a-f]+):", listing)
    assert call is not None
    back = int(call[1], 16) - starts["middle"]
    ordered = sorted([*starts.values(), _end(vmlinux)])
    sizes = {name: ordered[ordered.index(at) + 1] - at for name, at in starts.items()}
    path = tree.parent / "console.log"
    path.write_text(
        "[    9.000001] BUG: kernel NULL pointer dereference, address: 0000000000000000\n"
        "[    9.000002] Oops: 0002 [#1] SMP NOPTI\n"
        "[    9.000003] CPU: 0 PID: 7 Comm: sh Not tainted 6.1.0 #1\n"
        f"[    9.000004] RIP: 0010:bottom+0x0/{sizes['bottom']:#x}\n"
        "[    9.000005] Call Trace:\n"
        f"[    9.000006]  middle+{back:#x}/{sizes['middle']:#x}\n"
        "[    9.000007]  elsewhere+0x1/0x2\n"
    )
    return path


def _end(vmlinux: Path) -> int:
    sections = subprocess.run(
        ["readelf", "-SW", str(vmlinux)], check=True, capture_output=True, text=True
    ).stdout
    text = re.search(r" \.text +PROGBITS +([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+)", sections)
    assert text is not None
    return int(text[1], 16) + int(text[2], 16)


def test_every_frame_has_its_neighbourhood(
    tree: Path, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vmlinux = str(tree.parent / "vmlinux")
    assert main(["oops", str(log), "--vmlinux", vmlinux, "--source", str(tree)]) == ExitCode.OK
    out = capsys.readouterr().out
    backtrace = out[out.index("backtrace") :].splitlines()
    places = [row for row, text in enumerate(backtrace) if re.search(r"\+0x[0-9a-f]+/", text)]
    bottom, middle, elsewhere = (
        backtrace[start + 1 : end]
        for start, end in zip(places, [*places[1:], len(backtrace)], strict=True)
    )
    (fault,) = [line for line in bottom if line.strip().startswith(">")]
    assert fault.split()[0] in (">4", ">5")
    (marked,) = [line for line in middle if line.strip().startswith(">")]
    # the call's line, not that of the instruction it returns to
    assert marked.split(None, 1) == [">11", "int here = bottom(x);"]
    assert any("middle(int *x)" in line for line in middle)
    assert not any(line.strip().startswith(">") for line in elsewhere)
    assert "no function elsewhere" in out


def test_json_holds_the_lines_too(
    tree: Path, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vmlinux = str(tree.parent / "vmlinux")
    arguments = ["oops", "--json", str(log), "--vmlinux", vmlinux, "--source", str(tree)]
    assert main(arguments) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    frames = document["crashes"][0]["frames"]
    listed = {frames[place["frame"]]["function"]: place for place in document["source"]}
    assert set(listed) == {"bottom", "middle"}
    marked = [row for row in listed["middle"]["lines"] if row["marked"]]
    assert [(row["number"], row["text"]) for row in marked] == [(11, SOURCE.splitlines()[10])]


def test_a_file_that_is_not_in_the_tree_is_named_once(
    tree: Path, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vmlinux = str(tree.parent / "vmlinux")
    assert main(["oops", str(log), "--vmlinux", vmlinux, "--source", str(tmp_path)]) == ExitCode.OK
    assert capsys.readouterr().out.count("is not in the tree") == 1


@pytest.mark.parametrize("option", ["--registers", "--code", "--modules-loaded"])
def test_a_copy_of_the_log_shows_nothing_else(
    option: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["oops", "--annotate", option, str(log)]) == ExitCode.USAGE
    assert "--annotate" in capsys.readouterr().err
