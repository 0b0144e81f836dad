"""One event one crash, one bug one group; what people decide stays."""

from __future__ import annotations

import dataclasses
import time
from itertools import pairwise

import msgspec
import pytest
from sqlalchemy import func, select, update
from tests.fleet.samples import sighting

from kautopsy.fingerprint import fingerprint
from kautopsy.fleet import schema
from kautopsy.fleet.changes import triage
from kautopsy.fleet.database import Database
from kautopsy.fleet.grouping import event, likeness
from kautopsy.fleet.grouping.recompute import recompute
from kautopsy.fleet.grouping.record import record
from kautopsy.fleet.grouping.releases import contains_fix, newer_or_same
from kautopsy.fleet.grouping.reports import record_report
from kautopsy.fleet.grouping.sighting import hardware_of
from kautopsy.fleet.nouns import GroupFilter, GroupSort, GroupState
from kautopsy.fleet.queries import compare, crashes, groups, people, search
from kautopsy.model.crash import Crash, Kind, Trigger
from kautopsy.model.dump import DumpFile, DumpFormat
from kautopsy.model.errors import UnreadableError, UsageError
from kautopsy.model.finding import Verdict
from kautopsy.model.report import Report, Symbols, SymbolSource

DAY = 86400.0
NOON = 1_790_000_000.0


def _counted(store: Database) -> list[tuple[int, int, int, int]]:
    """What the counters say, group by group, and what counting the crashes says."""
    crash = schema.crash.c
    with store.read() as connection:
        page = groups.ranked(connection, GroupFilter(all_states=True, sort=GroupSort.CRASHES))
        for group in page.groups:
            there = connection.execute(
                select(
                    func.count(),
                    func.count(crash.host_id.distinct()),
                    func.min(crash.at),
                    func.max(crash.at),
                ).where(crash.group_id == group.id)
            ).one()
            assert (group.crashes, group.hosts, group.first_seen, group.last_seen) == tuple(there)
            detail = groups.detail(connection, group.id)
            assert sum(host.crashes for host in detail.hosts) == group.crashes
            assert sum(build.crashes for build in detail.builds) == group.crashes
            assert sum(day.crashes for day in detail.days) == group.crashes
            assert sum(one.crashes for one in detail.signatures) == group.crashes
        return [(g.id, g.crashes, g.deaths, g.hosts) for g in page.groups]


def test_the_same_event_counts_once_whoever_tells_of_it(store: Database) -> None:
    first = sighting(1)
    # Another console server: it stamps otherwise, and has other lines around.
    crash = msgspec.structs.replace(first.crash, wall_time="2026-09-21 10:00:00", text=None)
    again = dataclasses.replace(first, crash=crash, at=None, source_id=None)
    with store.write() as connection:
        assert record(connection, [first, again]).new == 1
        assert record(connection, [again]).new == 0
        assert record(connection, [sighting(2), sighting(1, "web02")]).new == 2
    assert _counted(store) == [(1, 3, 3, 2)]


def test_what_is_chance_does_not_part_crashes_and_what_is_not_does(store: Database) -> None:
    with store.write() as connection:
        record(connection, [sighting(n, f"web{n % 7}", NOON + n * DAY) for n in range(30)])
        record(connection, [sighting(n, function="other_fault") for n in range(5)])
    assert [row[1:] for row in _counted(store)] == [(30, 30, 7), (5, 5, 1)]


def test_harm_ranks_deaths_of_the_last_thirty_days(store: Database) -> None:
    now = time.time()
    with store.write() as connection:
        record(connection, [sighting(n, "old", now - 90 * DAY) for n in range(50)])
        record(connection, [sighting(n, "new", now - DAY, function="fresh_bug") for n in range(3)])
    with store.read() as connection:
        first, second = groups.ranked(connection).groups
    assert ("fresh_bug" in first.title, first.harm, first.deaths) == (True, 30, 3)
    assert (second.harm, second.deaths) == (0, 50)


def test_the_rate_is_per_thousand_host_days(store: Database) -> None:
    now = NOON + 10 * DAY
    with store.write() as connection:
        # Two hosts seen for ten days each, one for a moment (a day): 21 host-days.
        record(connection, [sighting(1, "a", NOON), sighting(2, "a", now)])
        record(connection, [sighting(3, "b", NOON), sighting(4, "b", now), sighting(5, "c", now)])
    with store.read() as connection:
        (group,) = groups.ranked(connection, now=now).groups
    # Counted from the midnight before the first crash.
    assert group.rate == pytest.approx(1000 * 5 / 21, rel=0.01)


@pytest.mark.parametrize(
    ("release", "fixed_in", "has"),
    [
        ("6.1.0-50-amd64", "6.1.0-50", True),
        ("6.1.0-49-amd64", "6.1.0-50", False),
        ("6.12.3", "6.1.0-50", True),
        ("5.10.0-60-amd64", "6.1.0-50", False),
        ("5.10.0-33-amd64", "5.10.0-33, 6.1.0-50", True),
        ("5.10.0-32-amd64", "5.10.0-33, 6.1.0-50", False),
        ("5.14.0-427.13.1.el9_4.x86_64", "5.14.0-427.9.1.el9_4", True),
        ("5.14.0-70.el9.x86_64", "5.14.0-427.el9", False),
        ("6.1.0-rc3", "6.1.0", False),
        ("6.1.0", "6.1.0-rc3", True),
        ("", "6.1", False),
        ("6.1", "", False),
    ],
)
def test_whether_a_release_has_a_fix(release: str, fixed_in: str, has: bool) -> None:
    assert contains_fix(release, fixed_in) is has


def test_releases_in_order() -> None:
    order = ["6.1-rc1", "6.1-rc2", "6.1", "6.1.1", "6.1.10", "6.2"]
    for older, newer in pairwise(order):
        assert newer_or_same(newer, older) and not newer_or_same(older, newer)


def test_seen_again_after_its_fix_a_group_is_new_and_people_are_told(store: Database) -> None:
    with store.write() as connection:
        record(connection, [sighting(1, release="6.1.0-49-amd64")])
        triage.set_state(connection, 1, GroupState.FIXED, by="anna", fixed_in="6.1.0-50")
        assert [notice.kind for notice in people.notices(connection)] == ["new-group"]
        connection.execute(update(schema.notice).values(sent=1.0))
    with store.write() as connection:
        old = record(connection, [sighting(2, release="6.1.0-48-amd64")])
        assert (old.new, old.regressions) == (1, 0)
        assert groups.row(connection, 1).state is GroupState.FIXED
        new = record(connection, [sighting(3, "web03", release="6.1.0-51-amd64")])
        assert (new.new, new.regressions) == (1, 1)
    with store.read() as connection:
        group = groups.row(connection, 1)
        assert (group.state, group.regressed_at is not None) == (GroupState.NEW, True)
        (notice,) = people.notices(connection)
        assert (notice.kind, notice.host, notice.release) == (
            "regression",
            "web03",
            "6.1.0-51-amd64",
        )


def test_ignored_until_it_is_not(store: Database) -> None:
    now = time.time()
    with store.write() as connection:
        record(connection, [sighting(1, at=now)])
        triage.set_state(connection, 1, GroupState.IGNORED, by="anna", ignored_until=now + DAY)
        assert groups.ranked(connection).total == 0
        assert groups.ranked(connection, now=now + 2 * DAY).groups[0].state is GroupState.KNOWN
        with pytest.raises(UsageError, match="bad-time"):
            triage.set_state(connection, 1, GroupState.IGNORED, by="anna", ignored_until=now - 1)
        with pytest.raises(UsageError, match="no-release"):
            triage.set_state(connection, 1, GroupState.FIXED, by="anna", fixed_in=" ")


def test_merged_groups_stay_merged_and_their_numbers_lead_on(store: Database) -> None:
    with store.write() as connection:
        record(connection, [sighting(1), sighting(2, "web02", function="other_fault")])
        triage.add_note(connection, "group", 1, "a note", by="anna")
        assert triage.merge(connection, 1, 2, by="anna", why="one bug") == 2
        record(connection, [sighting(3, "web03")])
    assert _counted(store) == [(2, 3, 3, 3)]
    with store.read() as connection:
        detail = groups.detail(connection, 1)
        assert (detail.group.id, detail.redirected_from) == (2, 1)
        assert [note.text for note in detail.notes] == ["a note"]
        assert [(d.kind, d.by, d.why) for d in detail.decisions] == [("same", "anna", "one bug")]
        assert {(one.why, one.by) for one in detail.signatures} >= {("one bug", "anna")}
        assert people.audit(connection)[0].action == "group-merge"
    assert recompute(store) == ()
    assert _counted(store) == [(2, 3, 3, 3)]


def test_what_was_merged_by_mistake_is_parted_and_stays_so(store: Database) -> None:
    with store.write() as connection:
        record(connection, [sighting(1), sighting(2, "web02", function="other_fault")])
        triage.merge(connection, 1, 2, by="anna")
        signature = groups.detail(connection, 2).signatures[0].id
        new = triage.part(connection, 2, signature, by="ben")
        assert new == 3
    assert [row[1] for row in _counted(store)] == [1, 1]
    assert recompute(store) == ()
    assert [row[1] for row in _counted(store)] == [1, 1]


def test_crashes_taken_apart_stay_apart(store: Database) -> None:
    with store.write() as connection:
        record(connection, [sighting(n, f"web{n}") for n in range(6)])
        ids = [row.id for row in groups.crashes_of(connection, 1).crashes][:2]
        new = triage.split(connection, 1, ids, by="anna", why="another disk")
        assert new != 1
        with pytest.raises(UsageError, match="all-crashes"):
            triage.split(connection, new, ids, by="anna")
        with pytest.raises(UsageError, match="no-crash"):
            triage.split(connection, 1, ids, by="anna")
    assert [row[:2] for row in _counted(store)] == [(1, 4), (new, 2)]
    recompute(store)
    assert [row[:2] for row in _counted(store)] == [(1, 4), (new, 2)]


def test_probably_the_same_with_why_until_somebody_says_no(store: Database) -> None:
    with store.write() as connection:
        record(connection, [sighting(1), sighting(2, function="frob_stop")])
        record(connection, [sighting(3, function="far_away", module="other")])
    likeness.refresh(store)
    with store.read() as connection:
        (alike, *_) = groups.detail(connection, 1).similar
        assert alike.group_id == 2 and 0.4 <= alike.score <= 1
        assert any("blk_mq" in why for why in alike.why)
    with store.write() as connection:
        triage.not_the_same(connection, 1, 2, by="anna", why="two call sites")
    likeness.refresh(store, everything=True)
    with store.read() as connection:
        assert 2 not in {one.group_id for one in groups.detail(connection, 1).similar}


def test_a_new_recipe_moves_crashes_and_keeps_groups(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.write() as connection:
        record(connection, [sighting(n, f"web{n}") for n in range(5)])
        record(connection, [sighting(9, function="other_fault")])
        triage.set_owner(connection, 1, "storage", by="anna")

    # The next recipe tells apart what ran on an even CPU.
    def recipe(crash: Crash) -> str:
        return f"{fingerprint(crash).exact}-{(crash.cpu or 0) % 2}"

    monkeypatch.setattr("kautopsy.fleet.grouping.recompute.exact_key", recipe)
    even = [sighting(n).crash.cpu or 0 for n in range(5)]
    parts = sorted((sum(c % 2 == k for c in even) for k in (0, 1)), reverse=True)
    assert min(parts) > 0
    moved = recompute(store)
    assert [(one.from_group, one.crashes) for one in moved] == [(1, parts[1])]
    rows = _counted(store)
    assert sorted(row[1] for row in rows) == sorted([*parts, 1])
    with store.read() as connection:
        kept = groups.row(connection, 1)
        assert (kept.crashes, kept.owner) == (parts[0], "storage")


def test_a_dump_joins_what_the_console_told_and_names_the_cause(store: Database) -> None:
    console = dataclasses.replace(sighting(1), at=None)
    with store.write() as connection:
        record(connection, [console, sighting(2, "web02")])
    report = _report(console.crash, "deadlock:mutex@frob_lock,mutex@frob_list", Kind.DEADLOCK)
    dump = dataclasses.replace(
        sighting(1), crash=console.crash, origin="dump", at=NOON + 60, report=report, source_id=None
    )
    with store.write() as connection:
        crash_id, new = record_report(connection, dump, analysis="x/1")
        assert (crash_id, new) == (1, False)
    with store.read() as connection:
        detail = crashes.detail(connection, 1)
        told = (detail.crash.origin, detail.crash.at, detail.crash.at_known)
        assert told == ("dump", NOON + 60, True)
        assert detail.group.title == "two tasks wait for each other"
        assert detail.report is not None and detail.report.verdict == report.verdict
        (signature,) = groups.detail(connection, detail.group.id).signatures
        assert signature.scheme == "cause"
        # Only the crash of which the dump told has left its group.
        assert groups.row(connection, 1).crashes == 1
    likeness.refresh(store)
    with store.read() as connection:
        (alike,) = groups.detail(connection, 1).similar
        assert alike.score == 1.0 and "console" in alike.why[0]
    # The console's log comes once more, from another file: still one crash.
    with store.write() as connection:
        assert record(connection, [console]).new == 0


def test_two_dumps_are_two_deaths(store: Database) -> None:
    with store.write() as connection:
        for number in (1, 2):
            one = sighting(number, at=NOON + number)
            source = connection.execute(
                schema.source.insert().values(content=str(number), kind="dump", received=1.0)
            ).inserted_primary_key
            assert source is not None
            dump = dataclasses.replace(
                one, origin="dump", report=_report(one.crash), source_id=source[0]
            )
            record_report(connection, dump, analysis="x/1")
            record_report(connection, dump, analysis="x/2")
    assert [row[1] for row in _counted(store)] == [2]


def _report(crash: Crash, key: str = "", kind: Kind = Kind.NULL_DEREFERENCE) -> Report:
    return Report(
        dump=DumpFile(path="vmcore", format=DumpFormat.ELF, complete=True),
        symbols=Symbols(source=SymbolSource.DWARF),
        system=None,
        crash=crash,
        verdict=Verdict(kind=kind, title="two tasks wait for each other", confidence=0.9, key=key),
    )


def test_questions_about_what_is_not_there(store: Database) -> None:
    with store.write() as connection:
        for ask, slug in (
            (lambda: groups.detail(connection, 7), "no-such-group"),
            (lambda: crashes.detail(connection, 7), "no-such-crash"),
            (lambda: compare.diff(connection, 7, 8), "no-such-crash"),
            (lambda: triage.add_note(connection, "host", "x", "t", by="a"), "no-such-host"),
            (lambda: triage.remove_link(connection, 7, by="a"), "no-such-link"),
        ):
            with pytest.raises(UnreadableError, match=slug):
                ask()
        record(connection, [sighting(1)])
        with pytest.raises(UsageError, match="bad-url"):
            triage.add_link(connection, 1, "javascript:alert(1)", by="a")
        with pytest.raises(UsageError, match="empty"):
            triage.add_note(connection, "group", 1, "  ", by="a")


def test_search_and_filters_find_by_function_module_host_and_note(store: Database) -> None:
    with store.write() as connection:
        record(connection, [sighting(1), sighting(2, "db07", function="other_fault", module="net")])
        triage.add_note(connection, "group", 2, "see ticket 100%_odd", by="a")
    with store.read() as connection:

        def found(**how: object) -> list[int]:
            wanted = msgspec.convert({**how}, GroupFilter)
            return [group.id for group in groups.ranked(connection, wanted).groups]

        assert found(function="frob_start") == [1]
        assert found(module="net") == [2]
        assert found(host="db07") == [2]
        assert sorted(found(release="6.1.0-50-amd64")) == [1, 2]
        assert found(text="100%_odd") == [2]
        assert found(text="100xyodd") == []
        kinds = {(hit.kind, hit.name) for hit in search.search(connection, "OTHER_fault")}
        assert ("function", "other_fault") in kinds and ("host", "db07") not in kinds
        assert {hit.kind for hit in search.search(connection, "db0")} == {"host"}


def test_two_crashes_side_by_side(store: Database) -> None:
    with store.write() as connection:
        record(connection, [sighting(1, modules="xfs"), sighting(2, "web02", modules="btrfs")])
    with store.read() as connection:
        diff = compare.diff(connection, 1, 2)
    assert (diff.only_one, diff.only_other) == (("xfs",), ("btrfs",))
    assert all(row.same for row in diff.frames) and len(diff.frames) > 5
    same = {field.field: field.same for field in diff.fields}
    assert same["kernel"] and same["fingerprint"] and not same["uptime"]
    assert diff.score > 0.5 and "same exact fingerprint" in diff.why


def test_hardware_as_the_kernel_prints_it() -> None:
    named = hardware_of("Dell Inc. PowerEdge R510/0DPRKF, BIOS 1.5.2 10/20/2010")
    assert (named.model, named.firmware) == ("Dell Inc. PowerEdge R510", "1.5.2 10/20/2010")
    assert hardware_of("PowerEdge R510").model == "PowerEdge R510"
    assert hardware_of(None).model == ""


def test_reports_without_a_stamp_count_by_their_place(store: Database) -> None:
    plain = msgspec.structs.replace(sighting(1).crash, uptime_seconds=None, trigger=Trigger.OOPS)
    three = [
        dataclasses.replace(sighting(1), crash=plain, at=None, stream="a", ordinal=n)
        for n in range(3)
    ]
    with store.write() as connection:
        assert record(connection, three).new == 3
        assert record(connection, three).new == 0
        assert event.event_key(three[0]) != event.event_key(three[1])
