"""What a group follows, on fleets whose truth is made."""

from __future__ import annotations

from math import comb

import pytest
from tests.fleet.samples import sighting

from kautopsy.fleet import attribution
from kautopsy.fleet.database import Database
from kautopsy.fleet.grouping.record import record
from kautopsy.fleet.grouping.sighting import Sighting
from kautopsy.fleet.nouns import Weight

R750, DL380 = "Dell Inc. PowerEdge R750/0WMWCR", "HPE ProLiant DL380 Gen10/ProLiant DL380 Gen10"
OLD, NEW = "6.1.0-49-amd64", "6.1.0-50-amd64"


def _fleet() -> list[Sighting]:
    """Forty other hosts that crash otherwise: half of each model, half on each kernel."""
    return [
        sighting(
            1000 + n,
            f"other{n}",
            function="everyday_bug",
            model=(R750, DL380)[n % 2],
            bios=("1.5.4", "U30")[n % 2],
            release=(OLD, NEW)[n // 2 % 2],
        )
        for n in range(40)
    ]


def _follows(store: Database, crashes: list[Sighting]) -> tuple[Weight, str, tuple[str, ...]]:
    with store.write() as connection:
        record(connection, [*crashes, *_fleet()])
    with store.read() as connection:
        found = attribution.attribution(connection, 1)
    return found.follows, found.what, found.why


def test_one_host_again_and_again_is_its_hardware(store: Database) -> None:
    crashes = [sighting(n, "web07", 1_790_000_000.0 + n * 86400) for n in range(5)]
    follows, what, why = _follows(store, crashes)
    assert (follows, what) == (Weight.HARDWARE, "web07")
    assert "5 crashes, all of web07" in why[0] and "p = " in why[0]


def test_one_model_on_both_kernels_is_the_platform(store: Database) -> None:
    crashes = [sighting(n, f"web{n}", release=(OLD, NEW)[n % 2]) for n in range(12)]
    follows, what, why = _follows(store, crashes)
    # Model and firmware are of one mind here: either may be named.
    assert follows is Weight.PLATFORM
    assert what in ("Dell Inc. PowerEdge R750", "1.5.4 04/01/2024")
    assert "12 of 12 hosts have" in why[0] and "20 of 40" in why[0]


def test_both_models_on_one_kernel_is_the_kernel(store: Database) -> None:
    crashes = [
        sighting(
            n, f"web{n}", release=NEW, model=(R750, DL380)[n % 2], bios=("1.5.4", "U30")[n % 2]
        )
        for n in range(12)
    ]
    follows, what, why = _follows(store, crashes)
    assert (follows, what) == (Weight.KERNEL, NEW)
    assert any("across 2 models" in one for one in why)


def test_two_crashes_are_too_few(store: Database) -> None:
    assert _follows(store, [sighting(1, "a"), sighting(2, "b")])[0] is Weight.UNDECIDED


def test_a_module_that_is_over_represented_is_unusual(store: Database) -> None:
    crashes = [sighting(n, f"web{n}", modules="xfs bonding evil_driver") for n in range(8)]
    with store.write() as connection:
        record(connection, [*crashes, *_fleet()])
    with store.read() as connection:
        found = attribution.compute(connection, 1)
    named = {(one.kind, one.value): one for one in found.unusual}
    evil = named[("module", "evil_driver")]
    assert (evil.in_group, evil.group_hosts, evil.in_rest, evil.rest_hosts) == (8, 8, 0, 40)
    # Where one cell is empty: the chance that the eight that have it are the group's eight.
    assert evil.p == pytest.approx(1 / comb(48, 8))
    assert evil.p < evil.q <= 0.05 and evil.odds is None
    # What everybody has is not.
    assert ("module", "ext4") not in named and found.tests > len(found.unusual)
    assert found.correction == "Benjamini-Hochberg"


def test_chance_alone_is_called_nothing(store: Database) -> None:
    """Forty random modules a host: without the correction some would stand out."""
    import random

    rng = random.Random(3)

    def modules() -> str:
        return " ".join(f"m{n}" for n in range(80) if rng.random() < 0.5)

    with store.write() as connection:
        record(connection, [sighting(n, f"web{n}", modules=modules()) for n in range(20)])
        record(
            connection,
            [
                sighting(500 + n, f"x{n}", function="other_bug", module="frob", modules=modules())
                for n in range(20)
            ],
        )
    with store.read() as connection:
        found = attribution.compute(connection, 1)
    assert found.tests >= 80
    assert [one for one in found.unusual if one.kind == "module"] == []


def test_what_was_computed_is_kept_until_the_group_grows(store: Database) -> None:
    with store.write() as connection:
        record(connection, [sighting(n, f"web{n}") for n in range(10)])
    assert attribution.refresh(store) == 1
    assert attribution.refresh(store) == 0
    with store.write() as connection:
        record(connection, [sighting(50, "web50")])
    assert attribution.refresh(store) == 1
