import json
import shutil
import subprocess
from pathlib import Path

import pytest

from kautopsy.cli.main import main
from kautopsy.model.errors import ExitCode

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc makes the ELF file")

SOURCE = """\
int sink;

__attribute__((noinline)) int careful(int x)
{
    sink = x;
    return x;
}

int _start(void) { return careful(1); }
"""


@pytest.fixture
def vmlinux(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "careful.c").write_text(SOURCE)
    command = "gcc -g -O1 -nostdlib -static -no-pie -o ../vmlinux careful.c"
    subprocess.run(command.split(), check=True, cwd=tmp_path / "tree")
    return tmp_path / "vmlinux"


def test_the_line_is_marked_among_its_neighbours(
    vmlinux: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = str(vmlinux.parent / "tree")
    arguments = ["symbols", "list-source", str(vmlinux), "*careful+0x0", "--source", tree]
    assert main(arguments) == ExitCode.OK
    head, *lines = capsys.readouterr().out.splitlines()
    assert "is in careful (" in head
    (marked,) = [line for line in lines if line.startswith(">")]
    number, text = marked[1:].split("\t")
    assert SOURCE.splitlines()[int(number) - 1] == text
    assert main([*arguments, "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    (location,) = document["locations"]
    (place,) = location["places"]
    assert (place["function"], place["line"]) == ("careful", int(number))
    assert [row["number"] for row in place["source"] if row["marked"]] == [int(number)]


def test_without_sources_the_place_is_still_named(
    vmlinux: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (vmlinux.parent / "tree" / "careful.c").unlink()
    assert main(["symbols", "list-source", str(vmlinux), "careful"]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "careful.c:" in out
    assert "--source" in out


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("absent+0x1", ExitCode.UNREADABLE),
        ("careful+0x1/0x9999", ExitCode.UNREADABLE),
        ("0x10", ExitCode.UNREADABLE),
        ("careful+0x1 [module]", ExitCode.UNREADABLE),
        ("not a location!", ExitCode.USAGE),
    ],
)
def test_what_is_not_there_is_said(
    vmlinux: Path, location: str, code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["symbols", "list-source", str(vmlinux), location]) == code
    assert capsys.readouterr().err.startswith("kautopsy: ")
