"""Files over the network: cut off and resumed, too large, wrong, hostile."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pytest
from tests.fleet import poison
from tests.fleet.samples import console

from kautopsy.fleet.database import Database
from kautopsy.fleet.files import DataFolder, content_id
from kautopsy.fleet.intake.edge import receive_report
from kautopsy.fleet.intake.retention import retain
from kautopsy.fleet.intake.unpack import unpack
from kautopsy.fleet.intake.upload import Uploads
from kautopsy.fleet.nouns import Answer, Upload
from kautopsy.fleet.queries import crashes, work
from kautopsy.fleet.settings import Settings
from kautopsy.model.base import to_json
from kautopsy.model.dump import DumpFile, DumpFormat
from kautopsy.model.errors import KautopsyError, RefusedError, UnreadableError, UsageError
from kautopsy.model.report import Report, Symbols, SymbolSource
from kautopsy.oops import read_text

pytestmark = pytest.mark.slow

SETTINGS = Settings(upload_limit=1 << 30, unpacked_limit=200 << 20)


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


@pytest.fixture
def uploads(store: Database, data: DataFolder) -> Uploads:
    return Uploads(store, data, SETTINGS)


def begin(uploads: Uploads, raw: bytes, name: str = "web01.log", host: str = "web01") -> Upload:
    return uploads.begin(
        host=host, name=name, size=len(raw), sha256=hashlib.sha256(raw).hexdigest()
    )


def send(uploads: Uploads, raw: bytes, name: str = "web01.log", host: str = "web01") -> Upload:
    upload = begin(uploads, raw, name, host)
    with uploads.receive(upload.id, upload.offset) as receiver:
        receiver.write(raw[upload.offset :])
    return uploads.finish(upload.id)


def test_a_log_is_taken_once(store: Database, uploads: Uploads, data: DataFolder) -> None:
    raw = console(1).encode()
    done = send(uploads, raw)
    assert (done.state, done.offset) == ("done", len(raw))
    again = begin(uploads, raw)
    assert (again.id, again.state) == (done.id, "done")
    assert uploads.finish(done.id).state == "done"
    assert list(data.incoming.iterdir()) == []
    with store.read() as connection:
        (row,) = crashes.newest(connection).crashes
        assert row.host == "web01"
        source = crashes.detail(connection, row.id).source
    assert source is not None and data.path_of(source.path).read_bytes() == raw


def test_cut_off_and_resumed(store: Database, uploads: Uploads) -> None:
    raw = "".join(console(n) for n in range(50)).encode()
    rng = random.Random(7)
    upload = begin(uploads, raw)
    rounds = 0
    while (at := uploads.status(upload.id).offset) < len(raw):
        rounds += 1
        with pytest.raises(ConnectionError), uploads.receive(upload.id, at) as receiver:
            receiver.write(raw[at : at + rng.randrange(1, 20_000)])
            raise ConnectionError
    assert rounds > 3
    assert uploads.finish(upload.id).state == "done"
    with store.read() as connection:
        assert crashes.newest(connection).total == 50


def test_two_hundred_at_once_twenty_of_them_cut_off(
    store: Database, uploads: Uploads, data: DataFolder
) -> None:
    def one(number: int) -> None:
        raw = console(number).encode()
        upload = begin(uploads, raw, f"{number}.log", f"host{number}")
        if number % 10 == 0:
            with pytest.raises(ConnectionError), uploads.receive(upload.id, 0) as receiver:
                receiver.write(raw[: len(raw) // 3])
                raise ConnectionError
        at = uploads.status(upload.id).offset
        with uploads.receive(upload.id, at) as receiver:
            receiver.write(raw[at:])
        assert uploads.finish(upload.id).state == "done"

    numbers = iter(range(200))
    lock = threading.Lock()

    def work_off() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            one(number)

    threads = [threading.Thread(target=work_off) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as connection:
        assert crashes.newest(connection).total == 200
        assert work.status(connection, database="", revision="").hosts == 200
    kept = [path for path in (data.root / "received").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in kept) == sum(len(console(n)) for n in range(200))
    assert list(data.incoming.iterdir()) == []


def test_what_is_refused(uploads: Uploads) -> None:
    with pytest.raises(RefusedError, match="too-large"):
        uploads.begin(host="a", name="big", size=10 << 30, sha256="0" * 64)
    with pytest.raises(UsageError, match="bad-checksum"):
        uploads.begin(host="a", name="x", size=1, sha256="../../etc/passwd")
    with pytest.raises(UsageError, match="bad-size"):
        uploads.begin(host="a", name="x", size=-1, sha256="0" * 64)
    with pytest.raises(UsageError, match="no-host"):
        uploads.begin(host="", name="x", size=1, sha256="0" * 64)
    for number in ("../../etc/passwd", "", "0" * 32, "x" * 32):
        with pytest.raises(UnreadableError, match="no-such-upload"):
            uploads.status(number)
    upload = begin(uploads, b"12345")
    with pytest.raises(RefusedError, match="wrong-offset"), uploads.receive(upload.id, 3):
        pass
    with pytest.raises(RefusedError, match="too-large"), uploads.receive(upload.id, 0) as receiver:
        receiver.write(b"123456")
    with pytest.raises(RefusedError, match="incomplete"):
        uploads.finish(upload.id)
    with (
        uploads.receive(upload.id, 0),
        pytest.raises(RefusedError, match="busy"),
        uploads.receive(upload.id, 0),
    ):
        pass


def test_a_wrong_checksum_is_sent_again(uploads: Uploads) -> None:
    raw = console(1).encode()
    upload = begin(uploads, raw)
    with uploads.receive(upload.id, 0) as receiver:
        receiver.write(b"X" + raw[1:])
    with pytest.raises(RefusedError, match="wrong-checksum"):
        uploads.finish(upload.id)
    assert uploads.status(upload.id).offset == 0
    assert send(uploads, raw).state == "done"


def test_what_is_no_dump_is_refused_and_not_kept(uploads: Uploads, data: DataFolder) -> None:
    with pytest.raises(UnreadableError, match="no-dump"):
        send(uploads, bytes(range(256)) * 10, "noise")
    assert [p for p in data.root.rglob("*") if p.is_file()] == []


def test_a_name_that_is_a_path_is_shown_and_not_followed(
    store: Database, uploads: Uploads, data: DataFolder, tmp_path: Path
) -> None:
    before = set(tmp_path.rglob("*")) | {data.root}
    send(uploads, console(1).encode(), "../../../../tmp/evil.log")
    new = {path for path in set(tmp_path.rglob("*")) - before if path.is_file()}
    assert all(path.is_relative_to(data.root) or "fleet.sqlite" in path.name for path in new)
    with store.read() as connection:
        source = crashes.detail(connection, 1).source
    assert source is not None and source.name == "evil.log"


def _tar(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, raw in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return out.getvalue()


def test_archives_are_unpacked_by_number(store: Database, uploads: Uploads, tmp_path: Path) -> None:
    raw = _tar(
        {"../../escape.log": console(1).encode(), "/etc/cron.d/x.log": console(2).encode()},
        {"link": "/etc/passwd"},
    )
    assert send(uploads, raw, "crash.tar.gz").state == "done"
    assert not (tmp_path / "escape.log").exists() and not Path("/etc/cron.d/x.log").exists()
    plain = gzip.compress(console(3).encode())
    assert send(uploads, plain, "web01.log.gz").state == "done"
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b/console.log", console(4))
    assert send(uploads, zipped.getvalue(), "x.zip").state == "done"
    with store.read() as connection:
        assert crashes.newest(connection).total == 4


def test_bombs_are_refused(uploads: Uploads, data: DataFolder, tmp_path: Path) -> None:
    large = gzip.compress(bytes(300 << 20), 9)
    with pytest.raises(RefusedError, match="too-large"):
        send(uploads, large, "bomb.gz")
    # gzip in gzip: one layer only is opened.
    with pytest.raises(UnreadableError, match="no-dump"):
        send(uploads, gzip.compress(gzip.compress(bytes(1 << 20))), "nested.gz")
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(1100):
            archive.writestr(str(number), b"")
    with pytest.raises(RefusedError, match="too-many-files"):
        send(uploads, many.getvalue(), "many.zip")
    zstd = subprocess.run(
        ["zstd", "-19", "--long=27", "-c"], input=bytes(190 << 20), capture_output=True, check=False
    ).stdout if _has_zstd() else b""  # fmt: skip
    if zstd:
        with pytest.raises(RefusedError, match="bomb"):
            send(uploads, zstd, "bomb.zst")
    with pytest.raises(UnreadableError):
        send(uploads, large[: len(large) // 2], "cut.gz")
    with pytest.raises(UnreadableError):
        send(uploads, b"PK\x03\x04" + os.urandom(500), "bad.zip")
    assert [p for p in data.root.rglob("*") if p.is_file()] == []


def _has_zstd() -> bool:
    return any(Path(folder, "zstd").exists() for folder in os.get_exec_path())


def test_an_unpacker_that_dies_is_an_unreadable_archive(tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"x"))
    command = (sys.executable, "-c", "import os; os.abort()")
    with pytest.raises(UnreadableError, match="bad-archive"):
        unpack(tmp_path / "x.gz", tmp_path / "out", limit=100, command=command)


def test_uploads_nobody_goes_on_with_expire(uploads: Uploads, data: DataFolder) -> None:
    upload = begin(uploads, b"12345")
    with uploads.receive(upload.id, 0) as receiver:
        receiver.write(b"123")
    assert uploads.expire(3600) == 0
    os.utime(data.incoming / upload.id, (1, 1))
    assert uploads.expire(3600) == 1
    with pytest.raises(UnreadableError, match="no-such-upload"):
        uploads.status(upload.id)


def _report(seed: int, *, dump: bool = True) -> bytes:
    (crash,) = read_text(console(seed))
    container = DumpFile(path="vmcore", format=DumpFormat.ELF, complete=True) if dump else None
    return to_json(
        Report(dump=container, symbols=Symbols(source=SymbolSource.BTF), system=None, crash=crash)
    ).encode()


def test_a_host_is_told_whether_its_dump_is_wanted(
    store: Database, uploads: Uploads, data: DataFolder, tmp_path: Path
) -> None:
    def ask(seed: int, host: str, *, dump: bool = True) -> Answer:
        log = console(seed).encode()
        raw = _report(seed, dump=dump)
        assert len(raw) + len(log) < 100_000
        return receive_report(store, raw, host=host, settings=settings, log=log).answer

    settings = Settings(exemplars=2)
    assert ask(1, "web01", dump=False) is Answer.NEW
    assert ask(2, "web02", dump=False) is Answer.KNOWN
    assert ask(3, "web03") is Answer.WANT_FULL_DUMP
    assert ask(3, "web03") is Answer.WANT_FULL_DUMP  # asked again: not counted again
    with store.read() as connection:
        assert crashes.newest(connection).total == 3
    folder = poison.dumps(tmp_path / "dumps", 2)
    poison.analyse(store, folder, data=data.root)
    # Two dumps are kept: enough of that group; the console's is another.
    with pytest.raises(KautopsyError, match="bad-document"):
        receive_report(store, b'{"schema": 1}', host="a", settings=settings)
    with pytest.raises(RefusedError, match="too-large"):
        receive_report(store, bytes(9 << 20), host="a", settings=settings)
    broke = Settings(disk_budget=1)
    send(uploads, console(77).encode(), "x.log", "web09")
    late = receive_report(store, _report(4), host="web04", settings=broke)
    assert late.answer is Answer.KNOWN and "disk budget" in late.why


def test_retention_keeps_exemplars_and_the_budget(
    store: Database, uploads: Uploads, data: DataFolder
) -> None:
    for number in range(12):
        send(uploads, console(number).encode(), f"{number}.log", f"host{number}")
        time.sleep(0.01)
    kept = retain(store, data, Settings(exemplars=3))
    assert kept.deleted == 9
    files = [path for path in (data.root / "received").rglob("*") if path.is_file()]
    assert len(files) == 3
    with store.read() as connection:
        assert crashes.newest(connection).total == 12
        assert sum(row.exemplar for row in crashes.newest(connection).crashes) == 3
    size = files[0].stat().st_size
    assert retain(store, data, Settings(exemplars=3, disk_budget=2 * size)).deleted == 1
    assert retain(store, data, Settings(exemplars=3)).deleted == 0


def test_contents_are_named_by_all_their_bytes_or_by_samples(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.write_bytes(b"abc")
    assert content_id(small) == hashlib.sha256(b"abc").hexdigest()
    names = set()
    for number in range(3):
        large = tmp_path / f"large{number}"
        with large.open("wb") as out:
            out.truncate((65 << 20) + (number == 2))
            out.seek(100)
            out.write(bytes([number == 1]))
        names.add(content_id(large))
    assert len(names) == 3
