"""SQL, snapshots and the Python interface on dumps of real kernels."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import drgn
import pytest
from drgn.helpers.linux.fs import d_path, for_each_file
from drgn.helpers.linux.pid import find_task, for_each_task
from drgn.helpers.linux.sched import task_state_to_char

import kautopsy
import kautopsy.api
from kautopsy.cli.main import main
from kautopsy.lab.specimen import Specimen
from kautopsy.model.crash import Kind
from kautopsy.model.errors import KautopsyError

pytestmark = pytest.mark.guest
SERIES = ("5.10", "6.1", "6.12", "7.2")
Ask = Callable[..., list[dict[str, object]]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    def asked(*words: str | Path) -> list[dict[str, object]]:
        assert main(["sql", "--json", "--debuginfo", "never", *map(str, words)]) == 0
        rows = json.loads(capsys.readouterr().out)["rows"]
        assert isinstance(rows, list)
        return rows

    return asked


@pytest.mark.parametrize("series", SERIES)
def test_tasks_are_those_that_drgn_sees_with_dwarf(
    series: str, lab_vmcore: Callable[[str], Specimen], ask: Ask
) -> None:
    specimen = lab_vmcore(series)
    program = drgn.Program()
    program.set_core_dump(specimen.vmcore)
    program.load_debug_info([specimen.vmlinux()])
    expected = {
        (int(task.pid), task.comm.string_().decode(), task.value_(), task_state_to_char(task))
        for task in for_each_task(program)
    }
    rows = ask(specimen.vmcore, "select pid, comm, address, state from tasks")
    assert {tuple(row.values()) for row in rows} == expected

    writer = find_task(program, specimen.writer.pid)
    files = {fd: d_path(file.f_path).decode() for fd, file in for_each_file(writer) if file}
    assert "/proc/sysrq-trigger" in files.values()
    query = f"select fd, path from open_files where pid = {specimen.writer.pid}"
    assert {row["fd"]: row["path"] for row in ask(specimen.vmcore, query)} == files


def test_dumps_are_asked_together(lab_vmcore: Callable[[str], Specimen], ask: Ask) -> None:
    old, new = lab_vmcore("5.10"), lab_vmcore("7.2")
    rows = ask(
        old.vmcore, new.vmcore,
        "select dump, release, count(*) as writers from dumps join open_files using (dump) "
        "where open_files.path = '/proc/sysrq-trigger' group by all order by release",
    )  # fmt: skip
    assert [row["dump"] for row in rows] == [str(old.vmcore), str(new.vmcore)]
    assert [row["release"] for row in rows] == [old.facts.release, new.facts.release]
    assert [row["writers"] for row in rows] == [1, 1]


def test_a_snapshot_answers_as_the_dump_does(
    lab_vmcore: Callable[[str], Specimen], ask: Ask, tmp_path: Path
) -> None:
    vmcore = lab_vmcore("6.1").vmcore
    snapshot = tmp_path / "snapshot"
    assert main(["snapshot", str(vmcore), "--out", str(snapshot), "--debuginfo", "never"]) == 0
    assert sum(file.stat().st_size for file in snapshot.iterdir()) < 1 << 20
    for query in (
        "select * exclude (dump) from tasks order by pid",
        "select * exclude (dump) from log order by seq",
        "select * exclude (dump) from slab_caches order by all",
        "select * exclude (dump) from dumps",
    ):
        rows = ask(snapshot, query)
        assert rows
        assert rows == ask(vmcore, query)
    (snapshot / "tasks.parquet").write_bytes(b"PAR1 no more")
    assert main(["sql", str(snapshot), "select count(*) from tasks"]) == 3


def test_rows_go_to_parquet_and_back(
    lab_vmcore: Callable[[str], Specimen], ask: Ask, tmp_path: Path
) -> None:
    import duckdb

    vmcore, out = lab_vmcore("6.1").vmcore, tmp_path / "o'ut.parquet"
    query = "select pid, address from tasks order by pid"
    assert main(["sql", str(vmcore), query, "--format", "parquet", "--out", str(out)]) == 0
    back = duckdb.connect().execute("select * from read_parquet(?)", [str(out)]).fetchall()
    assert [{"pid": pid, "address": address} for pid, address in back] == ask(vmcore, query)


def test_python_sees_tables_findings_and_the_program(
    lab_vmcore: Callable[[str], Specimen],
) -> None:
    specimen = lab_vmcore("6.1")
    with pytest.raises(KautopsyError, match="there is no such table"):
        kautopsy.open(specimen.vmcore, debuginfo=False).table("tusks")
    dump = kautopsy.open(specimen.vmcore.parent, debuginfo=False)
    assert specimen.writer.pid in {task.pid for task in dump.table("tasks")}
    assert dump.program["init_task"].comm.string_() == b"swapper/0"
    assert dump.verdict is not None
    assert dump.verdict.kind is Kind.OPERATOR_SYSRQ
    assert dump.findings == dump.report.findings
    assert specimen.facts.release in repr(dump)


DOCS = Path(__file__).parents[2] / "docs"


def test_every_question_of_the_manual_can_be_asked(
    lab_vmcore: Callable[[str], Specimen], tmp_path: Path, ask: Ask
) -> None:
    snapshot = tmp_path / "snapshot"
    assert main(["snapshot", str(lab_vmcore("6.1").vmcore), "--out", str(snapshot)]) == 0
    [block] = re.findall(r"```sql\n(.*?)```", (DOCS / "sql.md").read_text(), re.S)
    questions = [one for one in block.split(";") if one.strip()]
    assert len(questions) > 3
    for question in questions:
        ask(snapshot, question)


def test_every_recipe_of_the_manual_works(
    lab_vmcore: Callable[[str], Specimen], capsys: pytest.CaptureFixture[str]
) -> None:
    specimen = lab_vmcore("6.1")
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "python.md").read_text(), re.S)
    assert len(blocks) > 4
    for block in blocks:
        code = block.replace("/var/crash/202611230958", specimen.folder)
        code = code.replace("/var/crash", str(Path(specimen.folder).parent))
        if "0xFFFF" in code:
            dump = names["dump"]
            assert isinstance(dump, kautopsy.api.Dump)
            address = dump.program["init_task"].address_of_().value_()
            code = re.sub("0xFFFF[0-9A-F]+", hex(address), code)
        exec(compile(code, "docs/python.md", "exec"), names)
    output = capsys.readouterr().out
    assert "swapper/0" in output
    assert str(specimen.vmcore) in output
