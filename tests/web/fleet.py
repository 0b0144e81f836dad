"""A small fleet that crashed in several ways, for pages to show."""

from __future__ import annotations

from tests.fleet.samples import sighting

from kautopsy.fleet import changes
from kautopsy.fleet.database import Database
from kautopsy.fleet.grouping.record import record
from kautopsy.fleet.nouns import Role
from kautopsy.web.passwords import hash_password

DAY = 86400.0
PASSWORD = "correct horse battery"


def fill(database: Database, now: float) -> None:
    """Three bugs: one of everywhere, one of one host, one new today."""
    sightings = [
        sighting(seed, host=f"web{seed % 20:02}", at=now - (seed % 50) * DAY) for seed in range(120)
    ]
    sightings += [
        sighting(
            1000 + seed, host="db07", at=now - seed * DAY, function="edac_poll", module="skx_edac",
            model="HPE ProLiant DL380 Gen10",
        )
        for seed in range(9)
    ]  # fmt: skip
    sightings += [sighting(2000, host="new01", at=now, function="frobnicate", module="frob2")]
    with database.write() as connection:
        record(connection, sightings)


def add_people(database: Database) -> None:
    """One of each role; all have the same password."""
    hashed = hash_password(PASSWORD)
    with database.write() as connection:
        for role in (Role.VIEWER, Role.TRIAGER, Role.ADMIN):
            changes.people.add_account(
                connection, role.value, role=role, password_hash=hashed, by="test"
            )
