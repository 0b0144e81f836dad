"""Thousands of hosts over SSH, a bounded number at a time; what each says goes into the store."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sqlalchemy import Connection, update

from kautopsy.arming.doctor import examine
from kautopsy.arming.facts import gather
from kautopsy.fleet import schema
from kautopsy.fleet.database import Database
from kautopsy.fleet.grouping.machines import see_hosts
from kautopsy.fleet.grouping.sighting import machine_attributes
from kautopsy.fleet.readiness.boots import record_boots
from kautopsy.fleet.readiness.identity import Identity, identify
from kautopsy.fleet.readiness.inventory import Machine
from kautopsy.fleet.readiness.record import record_readiness, record_unreached
from kautopsy.fleet.upsert import ids, upsert
from kautopsy.host.target import open_host
from kautopsy.model.errors import KautopsyError
from kautopsy.model.readiness import DoctorDocument

AT_A_TIME = 32


@dataclass(frozen=True)
class Told:
    """What a host said; ``error`` where it did not."""

    name: str
    document: DoctorDocument | None
    identity: Identity | None
    error: str = ""


def ask_all(
    database: Database,
    machines: Sequence[Machine],
    *,
    at_a_time: int = AT_A_TIME,
    jump: str | None = None,
    options: Sequence[str] = (),
    on_told: Callable[[Told], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Ask every machine whether it could dump, and keep what it says as it comes.

    :param at_a_time: how many connections there are at most
    :param options: for ``ssh -o``, behind each machine's own
    :param stop: when it is set, those that were not asked yet are not
    """

    def one(machine: Machine) -> None:
        if stop is not None and stop.is_set():
            return
        told = ask(machine, jump=jump, options=options)
        with database.write() as connection:
            keep(connection, told, now=time.time())
        if on_told is not None:
            on_told(told)

    with ThreadPoolExecutor(max_workers=max(1, at_a_time)) as pool:
        for _ in pool.map(one, machines):
            pass


def ask(machine: Machine, *, jump: str | None = None, options: Sequence[str] = ()) -> Told:
    """Ask one machine; never raises for what the machine does."""
    try:
        with open_host(machine.target, jump=jump, options=(*machine.options, *options)) as host:
            document = examine(gather(host))
            try:
                identity = identify(host) if host.live else None
            except KautopsyError:
                identity = None
    except KautopsyError as error:
        return Told(machine.name, None, None, str(error))
    return Told(machine.name, document, identity)


def keep(connection: Connection, told: Told, *, now: float) -> None:
    """Put what a machine said into the store."""
    if told.document is None:
        record_unreached(connection, told.name, told.error, at=now)
        return
    identity = told.identity
    record_readiness(
        connection,
        told.name,
        told.document,
        at=now,
        machine=identity.machine if identity is not None else None,
    )
    if identity is None:
        return
    raw = json.dumps(
        machine_attributes(identity.machine, modules=identity.modules, release=identity.release)
    )
    key = hashlib.sha256(raw.encode()).hexdigest()
    upsert(connection, schema.profile, [{"key": key, "attributes": raw}], keys=["key"])
    profile_id = ids(connection, schema.profile, "key", [key])[key]
    host_id = see_hosts(connection, [{"name": told.name, "first_seen": now, "last_seen": now}])[
        told.name
    ]
    connection.execute(
        update(schema.host).where(schema.host.c.id == host_id).values(profile_id=profile_id)
    )
    record_boots(connection, host_id, identity.boots, release=identity.release, arch=identity.arch)
