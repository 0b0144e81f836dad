import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from kautopsy.fingerprint import VERSION, fingerprint
from kautopsy.fingerprint.corpus import Reader, read_corpus, read_source
from kautopsy.fingerprint.corpus_cache import CorpusCache
from kautopsy.fingerprint.features import Group
from kautopsy.model.base import to_json
from kautopsy.model.crash import Crash, Frame, Kind, TextSpan
from kautopsy.model.errors import UnreadableError
from kautopsy.model.fingerprint import Fingerprint
from kautopsy.model.report import OopsDocument


def crash(title: str, function: str = "foo", **more: object) -> Crash:
    frames = (Frame(function=function),)
    return Crash(kind=Kind.BUG, title=title, frames=frames, **more)  # type: ignore[arg-type]


def reads(*crashes: Crash) -> Reader:
    return lambda text: crashes if "BUG" in text else ()


def never(text: str) -> Sequence[Crash]:
    raise AssertionError("read again")


def test_a_directory_of_logs_and_documents(tmp_path: Path) -> None:
    (tmp_path / "host-1.log").write_text("BUG: a\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "host-2.json").write_text(to_json(OopsDocument(crashes=(crash("b"),))))
    (tmp_path / "host-3.json").write_text(
        f'{{"schema": "kautopsy.report/1", "crash": {to_json(crash("c"))}}}'
    )
    (tmp_path / ".hidden").write_text("BUG: no\n")
    (tmp_path / "vmcore").write_bytes(b"KDUMP   \6\0\0\0")
    known = read_corpus(tmp_path, reads(crash("a")))
    assert sorted(k.id for k in known) == ["host-1", "host-2", "host-3"]


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    rows = [
        {"id": "a/1", "log": "BUG: a", "fix": "ignored"},
        {"id": 2, "crash": {"kind": "bug", "title": "b", "frames": [{"function": "bar"}]}},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    known = read_corpus(path, reads(crash("a")))
    assert [k.id for k in known] == ["a/1", "2"]
    assert set(known[1].features.terms[Group.FRAMES]) == {"bar"}


def test_a_log_without_a_known_crash_speaks_for_itself() -> None:
    (known,) = read_source(b"some words about foo_bar+0x1/0x20\n", "x", reads())
    assert known.exact is None
    assert set(known.features.terms[Group.FUNCTIONS]) == {"foo_bar"}


def test_a_document_of_ours_without_a_crash_is_empty() -> None:
    assert read_source(to_json(OopsDocument(crashes=())).encode(), "x", reads()) == []


def test_the_key_of_a_document_is_kept_if_it_is_of_this_version() -> None:
    own = fingerprint(crash("x"))
    for version, exact in ((VERSION, "given"), (VERSION + 1, own.exact)):
        given = Fingerprint(version=version, exact="given")
        document = to_json(OopsDocument(crashes=(crash("x", fingerprint=given),)))
        assert [k.exact for k in read_source(document.encode(), "x", reads())] == [exact]


def test_only_the_lines_of_a_crash_are_its_own() -> None:
    text = b"BUG: one\n first+0x1/0x2\nBUG: two\n second+0x1/0x2\n"
    two = [
        crash("one", text=TextSpan(first_line=1, last_line=2), corrupted=True),
        crash("two", text=TextSpan(first_line=3, last_line=4)),
    ]
    first, second = read_source(text, "x", reads(*two))
    assert set(first.features.terms[Group.FUNCTIONS]) == {"first"}
    assert set(second.features.terms[Group.FUNCTIONS]) == {"second"}
    (whole,) = read_source(text, "x", reads(*two), only_first=True)
    assert whole.exact == second.exact


def test_what_was_read_is_kept_by_its_content(tmp_path: Path) -> None:
    corpus, file = tmp_path / "logs", tmp_path / "cache" / "known.sqlite"
    corpus.mkdir()
    (corpus / "a.log").write_text("BUG: a\n")
    with CorpusCache(file) as cache:
        first = read_corpus(corpus, reads(crash("a")), cache=cache)
    (corpus / "a.log").rename(tmp_path / "a.log")
    (tmp_path / "moved").mkdir()
    (tmp_path / "a.log").rename(tmp_path / "moved" / "a.log")
    with CorpusCache(file) as cache:
        assert read_corpus(tmp_path / "moved", never, cache=cache) == first
        # Another name, other contents, another reader: read again.
        (corpus / "b.log").write_text("BUG: a\n")
        assert [k.id for k in read_corpus(corpus, reads(crash("a")), cache=cache)] == ["b"]
    with CorpusCache(file, recipe="newer") as cache, pytest.raises(AssertionError, match="again"):
        read_corpus(corpus, never, cache=cache)


def test_a_cache_that_is_damaged_or_cannot_be_made_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(b"SQLite format 3\0 no more than this")
    (tmp_path / "c.jsonl").write_text('{"id": "a", "log": "BUG"}\n')
    for place in (tmp_path / "damaged", tmp_path / "c.jsonl" / "beneath a file"):
        with CorpusCache(place) as cache:
            assert len(read_corpus(tmp_path / "c.jsonl", reads(crash("a")), cache=cache)) == 1


@pytest.mark.parametrize(
    "raw",
    [b'{"id": "x"', b'{"crash": null}', b'{"kind": "no such kind", "title": ""}', b'{"a":' * 5000],
)
def test_a_damaged_document_is_refused(raw: bytes) -> None:
    with pytest.raises(UnreadableError, match="bad-document"):
        read_source(raw, "x.json", reads())


def test_bad_corpora_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="no-corpus"):
        read_corpus(tmp_path / "none", reads())
    with pytest.raises(UnreadableError, match="empty-corpus"):
        read_corpus(tmp_path, reads())
    (tmp_path / "c.jsonl").write_text('{"id": "a", "log": "x"}\nnot json\n')
    with pytest.raises(UnreadableError, match="line 2"):
        read_corpus(tmp_path / "c.jsonl", reads())
