"""Files of every kind into the store, once; what is half-written is waited for."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from tests.fleet.samples import console

from kautopsy.fleet.database import Database
from kautopsy.fleet.intake.clock import seconds_of
from kautopsy.fleet.intake.ingest import Ingest
from kautopsy.fleet.intake.origin import host_of, safe_name
from kautopsy.fleet.intake.sniff import Shape, sniff
from kautopsy.fleet.intake.watch import settled
from kautopsy.fleet.queries import crashes, groups, hosts, readiness, work
from kautopsy.model.base import to_json
from kautopsy.model.drill import DrillRecord, Stage, StageStatus
from kautopsy.model.errors import UnreadableError
from kautopsy.model.readiness import Check, CheckStatus, DoctorDocument
from kautopsy.model.report import OopsDocument
from kautopsy.oops import read_text
from kautopsy.triage.textual import report_on_crash

CORPORA = Path(__file__).parents[3] / "shared" / "corpora"
BOOT = (
    "[    0.000000] Linux version 6.1.0-50-amd64 (x@y) #1 SMP\n"
    "[    0.000000] Command line: BOOT_IMAGE=/vmlinuz root=/dev/sda1 crashkernel=512M nosmt\n"
    "[    0.100000] smpboot: CPU0: Intel(R) Xeon(R) Gold 6338 (family: 0x6, model: 0x6a, stepping: 0x6)\n"  # noqa: E501
    "[    0.200000] livepatch: enabling patch 'kpatch_fix_1'\n"
)


@pytest.mark.parametrize(
    ("path", "host"),
    [
        ("fetched/web01/var/crash/202611230959/vmcore", "web01"),
        ("fetched/10.0.0.7-2026-11-23-10:22:00/vmcore", "10.0.0.7"),
        ("fetched/127.0.0.1-2026-11-23-10:22:00/vmcore", ""),
        ("fetched/web02.example.com.log", "web02.example.com"),
        ("fetched/console-web03.log", "web03"),
        ("fetched/web04.log.1.gz", "web04"),
        ("fetched/kern.log", ""),
        ("fetched/messages", ""),
        ("fetched/vmcore-dmesg.txt", ""),
        ("fetched/2026-11-23/vmcore", ""),
        ("fetched/var/crash/vmcore", ""),
        ("fetched/web05.json", "web05"),
    ],
)
def test_which_host_a_file_is_of(path: str, host: str) -> None:
    assert host_of(Path("/x", path), Path("/x/fetched")) == host


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..", "a/b\\c", ".hidden", "x\0y", "\x1b]0;x\x07", "", "ä" * 500]
)
def test_names_are_never_paths(name: str) -> None:
    safe = safe_name(name)
    assert safe and "/" not in safe and "\\" not in safe and not safe.startswith(".")
    assert safe.isprintable() and len(safe) <= 200


WRITTEN = 1_795_000_000.0  # 2026-11-18 11:06:40 UTC


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        ("2026-11-18T11:06:40.5+01:00", 1_794_996_400.5),
        ("2026-11-18 11:06:40", WRITTEN),
        ("2026-11-18T11:06:40Z", WRITTEN),
        ("Wed Nov 18 11:06:40 2026", WRITTEN),
        ("2026 Nov 18 11:06:40", WRITTEN),
        ("Nov 18 11:06:40", WRITTEN),
        ("Nov  8 11:06:40", WRITTEN - 10 * 86400),
        # December of the year before: the log cannot be from the future.
        ("Dec 18 11:06:40", WRITTEN - 335 * 86400),
        ("11/18/2026 11:06:40", WRITTEN),
        ("11:06:40", None),
        ("gestern", None),
        ("2026-13-45 99:99:99", None),
        (None, None),
    ],
)
def test_when_a_stamp_was(stamp: str | None, seconds: float | None) -> None:
    assert seconds_of(stamp, WRITTEN) == seconds


def test_a_log_tells_of_machine_boot_and_crash(store: Database, tmp_path: Path) -> None:
    log = tmp_path / "web01.log"
    log.write_text(BOOT + console(1) + BOOT.replace("nosmt", "debug") + console(2))
    tally = Ingest(store).paths([log])
    assert (tally.files, tally.crashes, tally.new_crashes) == (1, 2, 2)
    with store.read() as connection:
        first, second = sorted(crashes.newest(connection).crashes, key=lambda row: row.id)
        assert {first.host, second.host} == {"web01"}
        told = [dict(crashes.detail(connection, row.id).attributes) for row in (first, second)]
        words = [
            {v for k, v in crashes.detail(connection, row.id).attributes if k == "command line"}
            for row in (first, second)
        ]
    assert words == [{"crashkernel=512M", "nosmt"}, {"crashkernel=512M", "debug"}]
    assert told[0]["cpu"].endswith("stepping: 0x6)") and told[0]["livepatch"] == "kpatch_fix_1"
    assert told[0]["model"] == "Dell Inc. PowerEdge R750"


def test_a_log_that_grows_is_read_again_and_counts_what_is_new(
    store: Database, tmp_path: Path
) -> None:
    log = tmp_path / "web01.log"
    log.write_text(console(1))
    assert Ingest(store).paths([log]).new_crashes == 1
    assert Ingest(store).paths([log]).unchanged == 1
    with log.open("a") as out:
        out.write(console(2))
    tally = Ingest(store).paths([log])
    assert (tally.crashes, tally.new_crashes) == (2, 1)
    with store.read() as connection:
        assert crashes.newest(connection).total == 2
        status = work.status(connection, database="", revision="")
    assert [(c.name, c.count) for c in status.sources] == [("log", 1)]


def test_one_syslog_of_many_hosts(store: Database, tmp_path: Path) -> None:
    lines = []
    for number, host in enumerate(("web01", "db07")):
        lines += [
            f"Nov 18 1{number}:00:00 {host} kernel: {x}" for x in console(number).splitlines()
        ]
        lines += [f"Nov 18 1{number}:30:00 {host} sshd[1]: hello"] * 400
    (tmp_path / "messages").write_text("\n".join(lines) + "\n")
    Ingest(store).paths([tmp_path / "messages"])
    with store.read() as connection:
        assert {row.host for row in crashes.newest(connection).crashes} == {"web01", "db07"}
        assert all(row.at_known for row in crashes.newest(connection).crashes)


def test_documents_of_every_kind(store: Database, tmp_path: Path) -> None:
    (crash,) = read_text(console(1))
    folder = tmp_path / "in"
    (folder / "web01").mkdir(parents=True)
    (folder / "web01" / "report.json").write_text(to_json(report_on_crash(crash)))
    two = [OopsDocument(crashes=tuple(read_text(console(n))), file=f"{n}") for n in (2, 3)]
    (folder / "web02").mkdir()
    (folder / "web02" / "oops.jsonl").write_text("".join(to_json(d, indent=0) + "\n" for d in two))
    check = Check(id="image-loaded", status=CheckStatus.FAIL, summary="no image", fix="load it")
    (folder / "web03.json").write_text(to_json(DoctorDocument(ready=False, checks=(check,))))
    stage = Stage(name="saved", status=StageStatus.FAILED, seconds=3.0, detail="disk full")
    drill = DrillRecord(passed=False, stages=(stage,), nonce="n-1")
    (folder / "web04").mkdir()
    (folder / "web04" / "record.json").write_text(to_json(drill))
    tally = Ingest(store).paths([folder])
    assert tally.skipped == []
    assert (tally.crashes, tally.answers) == (3, 2)
    with store.read() as connection:
        assert {row.host for row in crashes.newest(connection).crashes} == {"web01", "web02"}
        summary = readiness.summary(connection)
        assert (summary.hosts, summary.not_ready, summary.unasked) == (4, 1, 3)
        (reason,) = summary.reasons
        assert (reason.check, reason.hosts, reason.fix) == ("image-loaded", 1, "load it")
        assert [r.host for r in readiness.by_reason(connection, "image-loaded")] == ["web03"]
        (row,) = readiness.drills(connection)
        assert (row.host, row.failed_stage, row.detail) == ("web04", "saved", "disk full")
        assert readiness.drill(connection, row.id).record == drill
        doctor = hosts.detail(connection, "web03").doctor
        assert doctor is not None and doctor.ready is False
    assert Ingest(store).paths([folder]).unchanged == 4


def test_what_cannot_be_read_is_skipped_with_a_reason(store: Database, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "empty").write_bytes(b"")
    (folder / "noise").write_bytes(bytes(range(256)) * 40)
    (folder / "broken.json").write_text('{"schema": "kautopsy.report/1", "crash": 7}')
    (folder / "doctor").write_text('{"schema": "kautopsy.doctor/1", "ready": null, "checks": []}')
    (folder / "web.log.gz").write_bytes(b"\x1f\x8b" + b"x" * 50)
    (folder / "rows.jsonl").write_text('{"id": 1, "log": "x"}\nnonsense\n')
    (folder / "link").symlink_to("/etc/passwd")
    tally = Ingest(store).paths([folder])
    why = {path.name: reason for path, reason in tally.skipped}
    assert set(why) == {"empty", "noise", "broken.json", "doctor", "web.log.gz", "rows.jsonl"}
    assert "bad-document" in why["broken.json"] and "no-host" in why["doctor"]
    assert "line 2" in why["rows.jsonl"]
    with pytest.raises(UnreadableError, match="no-such-file"):
        Ingest(store).paths([folder / "nowhere"])


def test_shapes_by_content(tmp_path: Path) -> None:
    for content, shape in (
        (b"KDUMP   " + bytes(100), Shape.DUMP),
        (b"makedumpfile\0" + bytes(100), Shape.DUMP),
        (b'{"MESSAGE": "x", "PRIORITY": "3"}\n' * 5, Shape.LOG),
        (b'{"id": "a", "log": "' + b"x" * 100_000 + b'"}\n', Shape.ROWS),
        (b"PK\x03\x04rest", Shape.ARCHIVE),
        (bytes(257) + b"ustar", Shape.ARCHIVE),
        (b"[    1.0] a line\n", Shape.LOG),
    ):
        path = tmp_path / "file"
        path.write_bytes(content)
        assert sniff(path) is shape


@pytest.mark.slow
def test_half_written_files_are_waited_for(tmp_path: Path) -> None:
    stop = threading.Event()
    (tmp_path / "there.log").write_text("there before")
    seen: list[tuple[str, int]] = []

    def write() -> None:
        growing = tmp_path / "web01" / "growing.log"
        growing.parent.mkdir()
        for _ in range(8):
            with growing.open("a") as out:
                out.write("x" * 1000)
            time.sleep(0.2)
        (tmp_path / "vmcore-incomplete").write_text("y")
        time.sleep(1.5)
        (tmp_path / "vmcore-incomplete").rename(tmp_path / "vmcore")

    writer = threading.Thread(target=write)
    writer.start()
    ends = time.monotonic() + 60
    for path in settled(
        tmp_path,
        settle=0.8,
        stop=stop,
        look_through=5.0,
        on_wait=lambda _n: stop.set() if time.monotonic() > ends else None,
    ):
        seen.append((path.name, path.stat().st_size))
        if path.name == "vmcore":
            stop.set()
    writer.join()
    assert seen == [("there.log", 12), ("growing.log", 8000), ("vmcore", 1)]


def test_the_corpora_of_real_logs(store: Database) -> None:
    files = [CORPORA / name for name in ("fleet.jsonl", "syzbot.jsonl")]
    if not all(file.exists() for file in files):
        pytest.skip(f"no corpora in {CORPORA}")
    rows = [json.loads(line) for line in files[0].read_text().splitlines()]
    tally = Ingest(store).paths(files[:1])
    assert tally.crashes >= len(rows) / 2
    assert Ingest(store).paths(files[:1]).new_crashes == 0
    with store.read() as connection:
        counted = sum(group.crashes for group in groups.ranked(connection).groups)
        assert counted == tally.new_crashes == crashes.newest(connection).total
