import math

import pytest

from kautopsy.fingerprint.features import Features, Group, features
from kautopsy.fingerprint.ranking import Known, Ranking
from kautopsy.model.crash import Crash, Frame, Kind


def known(name: str, *frames: str, exact: str | None = None) -> Known:
    return Known(name, Features({Group.FRAMES: dict.fromkeys(frames, 1.0)}), exact)


def ids(ranking: Ranking, query: Features, **options: object) -> list[str]:
    return [match.id for match in ranking.nearest(query, 10, **options)]  # type: ignore[arg-type]


CORPUS = Ranking(
    [
        known("both", "rare", "common"),
        known("common", "common", "other"),
        known("also common", "common", "else"),
        known("nothing", "unrelated", exact="k"),
    ]
)


def test_rare_frames_weigh_more_than_common_ones() -> None:
    matches = CORPUS.nearest(known("", "rare", "common").features, 10)
    assert [match.id for match in matches] == ["both", "also common", "common"]
    # By hand: idf(rare) = ln 5/1, idf(common) = ln 5/3; the query has the vector of "both" itself,
    # and shares with "common" (whose other term is as rare) the common term alone.
    rare, common = math.log(5), math.log(5 / 3)
    length = math.hypot(rare, common)
    assert matches[0].score == pytest.approx(1.0)
    assert matches[1].score == pytest.approx((common / length) ** 2, abs=1e-4)


def test_a_corpus_of_one_has_something_to_compare() -> None:
    alone = Ranking([known("alone", "a", "b")])
    assert alone.nearest(known("", "a", "b").features, 1)[0].score == pytest.approx(1)


def test_the_same_exact_key_comes_first_and_says_so() -> None:
    matches = CORPUS.nearest(known("", "rare").features, 10, exact="k")
    assert matches[0].id == "nothing"
    assert matches[0].why == ("same exact fingerprint",)
    assert matches[1].id == "both"


def test_why_names_what_is_shared() -> None:
    (match,) = CORPUS.nearest(known("", "rare", "common").features, 1)
    assert match.why == ("frames: rare, common",)


def test_limit_and_the_one_left_out() -> None:
    query = known("", "common").features
    assert len(CORPUS.nearest(query, 2)) == 2
    assert CORPUS.nearest(query, 0) == []
    assert "both" not in ids(CORPUS, query, but="both")


def test_a_source_with_two_crashes_is_named_once() -> None:
    ranking = Ranking([known("log", "a", "b"), known("log", "a"), known("x", "c")])
    assert ids(ranking, known("", "a").features) == ["log"]


def test_an_empty_query_or_one_with_nothing_in_common_finds_nothing() -> None:
    assert ids(CORPUS, features(None)) == []
    assert ids(CORPUS, known("", "never seen").features) == []


def test_features_of_a_crash_and_of_its_text() -> None:
    crash = Crash(
        kind=Kind.BUG,
        title="kernel BUG in foo_put",
        release="6.1.0-56-amd64",
        frames=(
            Frame(function="panic"),
            Frame(function="foo_put.isra.0", file="fs/foo/inode.c"),
            Frame(function="kfree", file="mm/slub.c"),
            Frame(function="foo_evict"),
            Frame(function="bar", reliable=False),
        ),
    )
    text = (
        "BUG: something rotten\nFreed by task 7:\n foo_free+0x1/0x2\n ? guess+0x1/0x2\nRAX: beef\n"
    )
    terms = features(crash, text).terms
    assert set(terms[Group.FRAMES]) == {"foo_put", "kfree", "foo_evict"}
    assert terms[Group.FRAMES]["foo_put"] == 1
    assert terms[Group.FRAMES]["kfree"] < terms[Group.FRAMES]["foo_evict"] < 1
    assert set(terms[Group.CALLS]) == {"foo_put < kfree", "kfree < foo_evict"}
    assert set(terms[Group.FILES]) == {"fs/foo/inode.c", "fs/foo/"}
    assert set(terms[Group.FUNCTIONS]) == {"foo_free"}
    assert {"rotten", "foo_put"} <= set(terms[Group.TITLE])
    assert "Freed" in terms[Group.WORDS]
    assert "beef" not in terms[Group.WORDS]
    assert set(terms[Group.RELEASE]) == {"6.1", "6.1.0", "build 6.1.0-56-amd64"}


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "1." * 500_000,
        "a " + ".c" * 500_000,
        "a /" * 300_000,
        "f+0x1/0x1 " * 100_000,
        "BUG: " * 200_000,
        "\n" * 1_000_000,
        "_" * 1_000_000,
    ],
    ids=lambda text: repr(text[:10]),
)
def test_long_lines_take_linear_time(text: str) -> None:
    # Quadratic time would be hours; the limit of a test ends it long before.
    assert features(None, text).terms.keys() == set(Group)
