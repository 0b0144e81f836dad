"""Queries: what they see, what they may not reach, how they fail."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from kautopsy.kernel.tasks import Task
from kautopsy.kernel.tasks import tasks as tasks_table
from kautopsy.model.base import Unreadable
from kautopsy.model.errors import UsageError
from kautopsy.shell import sql_schema, sql_source
from kautopsy.shell.sql import Database, Result
from kautopsy.shell.sql_columns import json_rows, sql_columns
from kautopsy.shell.sql_guard import Query
from kautopsy.shell.sql_guard import ask as guarded
from kautopsy.shell.sql_messages import Answer
from kautopsy.shell.sql_source import DumpSource

from .sources import Canned, Rows, opened

HIGH = 0xFFFF_8880_0123_4567
TASKS: Rows = (
    {"pid": 1, "tgid": 1, "comm": "init", "state": "S", "address": HIGH, "rss": 4096,
     "kernel": False, "idle": 5, "wchan": "do_wait", "cgroup": "/"},
    {"pid": 7, "tgid": 7, "comm": "db", "state": "D", "address": HIGH + 64, "rss": 1 << 20,
     "kernel": False, "idle": 900, "wchan": "io_schedule", "cgroup": "/db"},
    {"pid": 8, "tgid": 7, "comm": "db", "state": "D", "address": HIGH + 128, "rss": 1 << 20,
     "kernel": False, "idle": 300, "wchan": "io_schedule", "cgroup": "/db"},
    {"pid": 9, "tgid": 9, "comm": "cp", "state": "D", "address": HIGH + 192,
     "kernel": False, "idle": 10, "wchan": "down_read", "cgroup": "/db",
     "unreadable": {"rss": "page of 0x10 is not in the dump"}},
)  # fmt: skip


def ask(query: str, *sources: DumpSource, max_rows: int = 1000) -> Result:
    chosen = sources or (Canned("a", Path("a"), rows={"tasks": TASKS}),)
    with Database(chosen, memory_bytes=256 << 20) as database:
        return database.query(query, max_rows=max_rows, seconds=20)


def test_addresses_keep_all_their_bits() -> None:
    assert ask("select address from tasks where pid = 1").rows == ((HIGH,),)


def test_only_tables_that_are_named_are_read() -> None:
    source = Canned("a", Path("a"))
    ask("select count(*) from cpus join tasks using (pid)", source)
    assert set(source.asked) == {"cpus", "tasks"}


@pytest.mark.parametrize(
    ("query", "needs"),
    [
        ("select count(*) from tasks", set()),
        ("select COUNT( * ), max(rss) from tasks", {"rss"}),
        ("select pid from tasks where wchan = 'x'", {"pid", "wchan"}),
        ("select * from tasks", None),
        ("from tasks", None),
        ("select t.* from tasks t", None),
        ("select #3 from tasks", None),
        ("select columns('r.*') from tasks", None),
        ("select pid from tasks natural join cpus", None),
        ("describe tasks", None),
        ("select t from tasks t", None),
        ("select count(tasks) from tasks", None),
        ("select a from tasks as t(a)", None),
        ("select unreadable from tasks", None),
        ("select tasks.pid from tasks join cpus using (cpu)", {"pid", "cpu"}),
        ("select who from blocked_tasks", {"comm", "pid", "idle", "wchan", "state"}),
        ("select largest from memory_by_cgroup", {"rss", "cgroup", "comm"}),
    ],
)
def test_only_columns_that_are_named_are_wanted(query: str, needs: set[str] | None) -> None:
    source = Canned("a", Path("a"), rows={"tasks": TASKS})
    ask(query, source)
    [columns] = source.columns
    if needs is None or columns is None:
        assert needs is None and columns is None
    else:
        assert needs <= columns
        assert not {"rss", "wchan"} & columns - needs


def test_rows_without_columns_are_counted() -> None:
    class Counted(Canned):
        def answers(
            self,
            tables: tuple[str, ...],
            columns: frozenset[str] | None = None,
            *,
            header: bool = True,
        ) -> Iterator[Answer]:
            yield Answer(opened=opened("a"))
            yield Answer(table="tasks", columns=(), count=5000)
            yield Answer(table="tasks", columns=(), count=7)
            yield Answer(final=True)

    source = Counted("a", Path("a"))
    assert ask("select dump, count(*) from tasks group by dump", source).rows == (("a", 5007),)


def test_columns_that_were_not_read_are_null() -> None:
    class Few(Canned):
        def answers(
            self,
            tables: tuple[str, ...],
            columns: frozenset[str] | None = None,
            *,
            header: bool = True,
        ) -> Iterator[Answer]:
            yield Answer(opened=opened("a"))
            rows = msgspec.Raw(b'[{"state": "S"}, {"state": "D"}]')
            yield Answer(table="tasks", columns=("state",), rows=rows, count=2)
            yield Answer(final=True)

    source = Few("a", Path("a"))
    assert ask("select count(*) from tasks where state = 'D'", source).rows == ((1,),)


def test_a_view_reads_what_stands_behind_it() -> None:
    source = Canned("a", Path("a"))
    ask("from blocked_tasks", source)
    assert set(source.asked) == {"backtraces", "tasks"}


def test_a_table_named_in_a_string_is_read_too() -> None:
    assert ask("select count(*) from query_table('tasks')").rows == ((4,),)


def test_what_the_dump_lacks_is_null_with_its_reason() -> None:
    [row] = ask("select rss, unreadable['rss'] from tasks where pid = 9").rows
    assert row == (None, "page of 0x10 is not in the dump")


def test_a_row_becomes_sql_with_reasons() -> None:
    columns = sql_columns(tasks_table)
    task = Task(
        pid=1, tgid=1, ppid=Unreadable("gone"), comm="a\x1b[31m", address=HIGH, state="S", cpu=0,
        on_cpu=False, kernel=False, idle=1 << 70, iowait=False, wchan="", rss=0, cgroup="/",
    )  # fmt: skip
    source = Canned("a", Path("a"), rows={"tasks": json.loads(json_rows([task], columns))})
    [row] = ask("select ppid, idle, comm, unreadable from tasks", source).rows
    assert row == (None, None, "a\x1b[31m", {"ppid": "gone", "idle": f"{1 << 70} is out of range"})


def test_the_schema_that_is_kept_is_that_of_the_tables() -> None:
    assert sql_schema.KEPT.read_bytes() == sql_schema.text(), "run `make schema`"


def test_rows_of_many_dumps_are_told_apart() -> None:
    sources = [
        Canned("web1", Path("w/vmcore"), rows={"tasks": TASKS}),
        Canned("db7", Path("d/vmcore"), rows={"tasks": TASKS[:1]}),
    ]
    result = ask("select dump, count(*) from tasks group by dump order by dump", *sources)
    assert result.rows == (("db7", 1), ("web1", 4))


def test_the_dumps_are_a_table() -> None:
    [row] = ask("select dump, path, release, nodename, version, epoch(crash_time) from dumps").rows
    assert row == ("a", "a", "6.1.0", "db7", None, 1_700_000_000.0)


def test_blocked_tasks_are_counted_by_stack() -> None:
    frames = [
        {"pid": pid, "comm": "db", "depth": depth, "function": function}
        for pid in (7, 8)
        for depth, function in enumerate(["schedule", "io_schedule", "wait_on_page"])
    ]
    source = Canned("a", Path("a"), rows={"tasks": TASKS, "backtraces": frames})
    rows = ask("select tasks, who, longest, stack from blocked_tasks", source).rows
    assert rows == (
        (2, "db (7), db (8)", 900, "schedule < io_schedule < wait_on_page"),
        (1, "cp (9)", 10, None),
    )


def test_memory_of_a_process_counts_once_in_its_cgroup() -> None:
    rows = ask("select cgroup, rss, processes, largest from memory_by_cgroup").rows
    assert rows == (("/db", 1 << 20, 2, "db (7)"), ("/", 4096, 1, "init (1)"))


def test_deleted_files_that_are_still_open() -> None:
    files = [
        {"pid": pid, "comm": "db", "fd": 3, "path": "/var/log/db", "type": "file",
         "device": "sda1", "inode": inode, "links": links, "size": size}
        for pid, inode, links, size in [(7, 11, 0, 500), (9, 11, 0, 500), (7, 12, 1, 900)]
    ]  # fmt: skip
    source = Canned("a", Path("a"), rows={"open_files": files})
    [row] = ask("select inode, path, size from open_deleted_files", source).rows
    assert row == (11, "/var/log/db", 500)


def test_lock_waits_say_what_the_holder_did() -> None:
    waits = [{"waiter": 1, "owner": 9, "kind": "mutex", "lock": HIGH}]
    source = Canned("a", Path("a"), rows={"tasks": TASKS, "waits_for": waits})
    [row] = ask("select waiter, owner, holder_state, holder_wchan from lock_waits", source).rows
    assert row == (1, 9, "D", "down_read")


@pytest.mark.parametrize(
    "query",
    [
        "select * from read_text('{secret}')",
        "select * from read_csv('{secret}')",
        "select * from read_blob('{secret}')",
        "select * from sniff_csv('{secret}')",
        "select * from parquet_metadata('{secret}')",
        "select * from glob('{folder}/*')",
        "select * from query('from read_text(''{secret}'')')",
        "from '{secret}'",
        "explain analyze select * from read_text('{secret}')",
        "copy tasks to '{folder}/out.csv'",
        "copy (select 1) to '{folder}/out.csv'",
        "attach '{folder}/out.db'",
        "export database '{folder}/out'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "reset lock_configuration",
        "pragma enable_logging",
        "create table x as select * from tasks",
        "update extensions",
        "call enable_logging(storage='file', storage_path='{folder}/log')",
        "pragma enable_profiling='json'",
        "explain analyze copy (select 1) to '{folder}/out.csv'",
        "from query('copy (select 1) to ''{folder}/out.csv''')",
        "from json_execute_serialized_sql(json_serialize_sql('from read_text(''{secret}'')'))",
        "pivot (from read_text('{secret}')) on filename",
        "pivot tasks on state using first((select content from read_text('{secret}')))",
        "summarize '{secret}'",
        "from query_table('{secret}')",
        "from parquet_kv_metadata('{secret}')",
        "select * from tasks where comm in (select content from read_text('{secret}'))",
        "select getenv('HOME')",
        "prepare p as from read_text('{secret}')",
        "create macro table f() as table from read_text('{secret}')",
        ".read {secret}",
        "select 1; select 2",
        "",
        "   ;  ",
    ],
)
def test_a_query_reaches_nothing_of_the_machine(query: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("top,secret\n1,2\n")
    with pytest.raises(UsageError) as caught:
        ask(query.format(secret=tmp_path / "secret", folder=tmp_path))
    assert caught.value.slug in {"not-allowed", "not-a-query", "bad-sql"}
    assert "top," not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_saved_query_reaches_nothing_either(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    source = Canned("a", Path("a"), rows={"tasks": TASKS})
    for query in (
        f"select * from read_text('{tmp_path / 'secret'}')",
        f"select 1) to '{tmp_path / 'other'}'; select (1",
    ):
        with Database([source]) as database, pytest.raises(UsageError):
            database.save(query, tmp_path / "out.parquet", seconds=20)
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_wrong_sql_is_said_in_a_line() -> None:
    for query in ("selec 1", "select nothing from tasks", "select * from tusks"):
        with pytest.raises(UsageError) as caught:
            ask(query)
        assert caught.value.slug == "bad-sql"
        assert "\n" not in caught.value.what


def test_a_huge_query_ends() -> None:
    query = "select list(a.range || b.range) from range(100000) a, range(100000) b"
    with Database([], memory_bytes=64 << 20) as database, pytest.raises(UsageError) as caught:
        database.query(query, max_rows=10, seconds=100)
    assert caught.value.slug == "query-memory"


def test_an_endless_query_ends() -> None:
    query = "select count(*) from range(10000000) a, range(10000000) b where a.range + b.range = -1"
    with Database([]) as database, pytest.raises(UsageError) as caught:
        database.query(query, max_rows=10, seconds=0.3)
    assert caught.value.slug == "query-time"


def test_rows_beyond_the_limit_are_said_to_be_missing() -> None:
    assert len(ask("from tasks", max_rows=2).rows) == 2
    assert ask("from tasks", max_rows=2).truncated
    assert not ask("from tasks", max_rows=4).truncated


def _child(monkeypatch: pytest.MonkeyPatch, body: str) -> DumpSource:
    script = (
        "import os, signal, sys, msgspec\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from kautopsy.shell.sql_messages import Answer\n"
        "from sources import opened\n"
        "def send(answer): print(msgspec.json.encode(answer).decode(), flush=True)\n"
        f"{body}\n"
    )
    monkeypatch.setattr(sql_source, "CHILD", (sys.executable, "-c", script))
    return DumpSource("a", Path("vmcore"))


def test_a_child_that_dies_leaves_the_rows_it_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    source = _child(
        monkeypatch,
        "send(Answer(opened=opened('vmcore')))\n"
        "send(Answer(table='taints', rows=msgspec.Raw(b'[{}]')))\n"
        "os.kill(os.getpid(), signal.SIGBUS)",
    )
    with Database([source]) as database:
        assert database.query("select count(*) from taints", max_rows=9, seconds=9).rows == ((1,),)
        assert database.notes == ["a: reading ended early: the process that read it died of SIGBUS"]


def test_a_child_that_fails_is_not_said_to_be_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    source = _child(
        monkeypatch,
        "send(Answer(opened=opened('vmcore')))\n"
        "os.close(1)\n"
        "import time; time.sleep(0.2)\n"  # an interpreter takes its time to end
        "sys.exit(4)",
    )
    with Database([source]) as database:
        database.query("select count(*) from taints", max_rows=9, seconds=9)
        assert database.notes == ["a: reading ended early: the process that read it exited with 4"]


def test_an_exception_of_a_reader_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    source = _child(
        monkeypatch,
        "from kautopsy.shell import sql_child\n"
        "def answers(subject, ask):\n"
        "    yield Answer(opened=opened('vmcore'))\n"
        "    yield Answer(table='taints', rows=msgspec.Raw(b'[{}]'))\n"
        "    [].pop()\n"
        "sql_child.answers = answers\n"
        "sys.exit(sql_child.main())",
    )
    with Database([source]) as database:
        assert database.query("select count(*) from taints", max_rows=9, seconds=9).rows == ((1,),)
        [note] = database.notes
        assert "reading ended early" in note and "IndexError: pop from empty list" in note


def test_a_dump_that_cannot_be_opened_costs_the_others_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad = _child(monkeypatch, "os.kill(os.getpid(), signal.SIGSEGV)")
    good = Canned("b", Path("b"), rows={"tasks": TASKS})
    with Database([bad, good]) as database:
        assert database.query("select count(*) from tasks", max_rows=9, seconds=9).rows == ((4,),)
        [failure] = database.failures
        assert failure.slug == "analysis-died"
        assert "SIGSEGV" in failure.what


@pytest.fixture(params=["as it is", "with threads"])
def child_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a process with threads, such as a server, and mostly of one without."""
    # A new interpreter imports what it is given, which pytest does without sys.path.
    package = Canned.__module__.partition(".")[0]
    folders = Path(__file__).parents
    monkeypatch.syspath_prepend(next(one.parent for one in folders if one.name == package))
    if request.param == "with threads":
        monkeypatch.setattr(threading, "active_count", lambda: 2)


@pytest.mark.usefixtures("child_of")
@pytest.mark.parametrize(
    ("query", "slug"),
    [
        # One value, which DuckDB does not count.
        ("select range(1000000000)", "query-memory"),
        ("select repeat('x', 4000000000)", "query-memory"),
        # What is computed while the query is planned, and what fails when rows are fetched.
        ("select count(*) from range(100000000000)", "query-time"),
        ("select case r when 50000 then error('late') end from range(100000) t(r)", "bad-sql"),
    ],
)
def test_a_query_cannot_take_the_machine_with_it(query: str, slug: str) -> None:
    with pytest.raises(UsageError) as caught:
        guarded([Canned("a", Path("a"))], Query(query, seconds=0.2, memory_bytes=64 << 20))
    assert caught.value.slug == slug


@pytest.mark.usefixtures("child_of")
def test_a_query_in_its_own_process_answers_as_in_this_one() -> None:
    sources = [Canned("a", Path("a"), rows={"tasks": TASKS})]
    asked = guarded(sources, Query("select comm, address from tasks order by pid", max_rows=2))
    assert asked.result == ask("select comm, address from tasks order by pid", *sources, max_rows=2)
    assert not asked.failures
