import hashlib
import time
from pathlib import Path

import pytest

from kautopsy.model.errors import KautopsyError, UnreachableError
from kautopsy.symbols.finder.http import Checksum, Limits, NotThereError, download, get_text

from .conftest import Server

BODY = bytes(range(256)) * 4096  # 1 MiB, and no two blocks of it look alike by chance


@pytest.fixture
def url(server: Server) -> str:
    (server.root / "file").write_bytes(BODY)
    return f"{server.url}/file"


def test_a_download_is_watched(url: str, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    download(url, tmp_path / "got", watch=lambda there, total: seen.append((there, total)))
    assert (tmp_path / "got").read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert sorted(p.name for p in tmp_path.glob("got*")) == ["got"]


def test_a_broken_line_is_taken_up_where_it_broke(url: str, server: Server, tmp_path: Path) -> None:
    server.drop_after = [300_000, 200_000]
    download(url, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == BODY
    assert [r for _, r in server.asked] == ["", "bytes=300000-", "bytes=500000-"]


def test_a_later_run_takes_it_up_too(url: str, server: Server, tmp_path: Path) -> None:
    server.drop_after = [100_000] + [0] * 9
    with pytest.raises(UnreachableError):
        download(url, tmp_path / "got")
    assert not (tmp_path / "got").exists()
    server.drop_after = []
    server.asked.clear()
    download(url, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == BODY
    assert server.asked == [("/file", "bytes=100000-")]


def test_a_file_that_changed_meanwhile_is_begun_again(
    url: str, server: Server, tmp_path: Path
) -> None:
    server.drop_after = [100_000] + [0] * 9
    with pytest.raises(UnreachableError):
        download(url, tmp_path / "got")
    server.drop_after = []
    server.etag = '"2"'
    (server.root / "file").write_bytes(BODY[::-1])
    download(url, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == BODY[::-1]


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_without_a_strong_validator_it_is_begun_again(
    etag: str | None, url: str, server: Server, tmp_path: Path
) -> None:
    server.etag = etag
    server.drop_after = [100_000]
    download(url, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == BODY
    assert [r for _, r in server.asked] == ["", ""]


def test_all_bytes_and_no_last_word_is_complete(url: str, server: Server, tmp_path: Path) -> None:
    (tmp_path / "got.part").write_bytes(BODY)
    (tmp_path / "got.part.version").write_text('"1"')
    download(url, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == BODY


def test_a_checksum_that_differs_is_refused_and_forgotten(url: str, tmp_path: Path) -> None:
    good = hashlib.sha256(BODY).hexdigest()
    download(url, tmp_path / "got", checksum=Checksum("sha256", good))
    with pytest.raises(KautopsyError) as caught:
        download(url, tmp_path / "bad", checksum=Checksum("sha256", "0" * 64))
    assert caught.value.slug == "bad-checksum"
    assert good in caught.value.what
    assert list(tmp_path.glob("bad*")) == []


def test_a_busy_server_is_asked_again_and_a_404_is_not(
    url: str, server: Server, tmp_path: Path
) -> None:
    server.status = [503]
    download(url, tmp_path / "got")
    assert len(server.asked) == 2
    server.asked.clear()
    with pytest.raises(NotThereError):
        download(f"{server.url}/other", tmp_path / "other")
    assert len(server.asked) == 1


def test_silence_has_an_end(url: str, server: Server, tmp_path: Path) -> None:
    server.pause = 1.0
    started = time.monotonic()
    with pytest.raises(UnreachableError):
        download(url, tmp_path / "got", limits=Limits(stall=0.1, total=0.5))
    assert time.monotonic() - started < 5


def test_too_much_is_cut_off(url: str, tmp_path: Path) -> None:
    with pytest.raises(KautopsyError) as caught:
        download(url, tmp_path / "got", limits=Limits(size=1000))
    assert caught.value.slug == "too-large"


def test_no_server_is_named_at_once(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(UnreachableError):
        download("http://127.0.0.1:9/file", tmp_path / "got")
    assert time.monotonic() - started < 2


def test_a_redirect_leads_to_no_file_of_this_machine(
    url: str, server: Server, tmp_path: Path
) -> None:
    server.redirect = "file:///etc/passwd"
    with pytest.raises(KautopsyError):
        download(url, tmp_path / "got")
    with pytest.raises(KautopsyError):
        get_text(url)
    with pytest.raises(KautopsyError):
        download("file:///etc/passwd", tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_two_processes_do_not_write_one_file(url: str, tmp_path: Path) -> None:
    import fcntl

    with (tmp_path / "got.part.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(KautopsyError) as caught:
            download(url, tmp_path / "got")
    assert caught.value.slug == "busy"
