"""The guard alone: every combination of what a machine, its controller and the inventory say."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from kautopsy.host.inventory import Machine
from kautopsy.model.errors import RefusedError
from kautopsy.model.trigger import TriggerRecord
from kautopsy.trigger.guard import Order, ask_leave
from kautopsy.trigger.look import Look, clean_serial, clean_uuid, same_uuid
from kautopsy.trigger.obedience import would_obey
from kautopsy.trigger.records import keep
from kautopsy.trigger.way import Effect, Whose

UUID = "4c4c4544-0037-3010-8048-b7c04f4d3733"
LOOK = Look(
    node="db1",
    machine="x86_64",
    release="6.1.0",
    clock=1,
    root=True,
    boot_id="a",
    uptime=9.0,
    sysrq=438,
    unknown_nmi_panic=True,
    panic_on_unrecovered_nmi=False,
    panic_on_io_nmi=False,
    panic_timeout=10,
    loaded=True,
    serial="CZJ1",
    uuid=UUID,
    asset=None,
    hpwdt=False,
    sysrq_trigger=True,
    capturing=False,
)
MACHINE = Machine(name="db", nodename="db1", serial="CZJ1")


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def _look(**changes: object) -> Look:
    from dataclasses import replace

    return replace(LOOK, **changes)  # type: ignore[arg-type]


def _ask(
    look: Look | None,
    whose: Whose | None,
    machine: Machine = MACHINE,
    crash: str = "db1",
    *,
    ready: bool | None = True,
    even: bool = False,
    again: bool = False,
    console: bool = False,
) -> str:
    order = Order(crash, even_if_not_ready=even, again=again)
    return ask_leave(order, machine, look, whose, ready=ready, console_proof=console).proof


OWN = Whose(by="BMC", serials=("BOARD7", "CZJ1"))
OTHERS = Whose(by="BMC", serials=("CZJ2",))
SILENT = Whose(by="BMC")


@pytest.mark.parametrize(
    ("look", "whose", "machine", "console"),
    [
        (LOOK, None, MACHINE, False),
        (LOOK, OWN, MACHINE, False),
        # A serial number that differs, and the UUID that agrees: makers fill in what they like.
        (LOOK, Whose(by="BMC", serials=("X",), uuid=UUID.upper()), MACHINE, False),
        (_look(serial=None, uuid=None), OWN, MACHINE, False),
        (LOOK, SILENT, MACHINE, True),
        (LOOK, Whose(by="aws", pinned="i-0abc"), MACHINE, False),
        (_look(asset="i-0abc"), Whose(by="aws", pinned="i-0abc"), MACHINE, False),
        (None, OWN, MACHINE, False),
        (None, Whose(by="BMC", uuid=UUID), Machine(name="db", nodename="db1", uuid=UUID), False),
        (None, Whose(by="aws", pinned="i-0abc"), Machine(name="db", nodename="db1"), False),
    ],
)
def test_it_is_the_machine_that_is_meant(
    look: Look | None, whose: Whose | None, machine: Machine, console: bool
) -> None:
    assert _ask(look, whose, machine, console=console)


@pytest.mark.parametrize(
    ("look", "whose", "machine", "crash", "slug"),
    [
        (LOOK, None, MACHINE, "db", "another-machine"),
        (LOOK, OWN, MACHINE, "db2", "another-machine"),
        (_look(node="db2"), OWN, MACHINE, "db1", "another-machine"),
        (_look(node="db2"), OWN, MACHINE, "db2", "another-machine"),  # the inventory disagrees
        (LOOK, OTHERS, MACHINE, "db1", "another-machine"),
        # A slip in the inventory that fits the wrong BMC: the living machine knows better.
        (LOOK, OTHERS, Machine(name="db", serial="CZJ2"), "db1", "another-machine"),
        (LOOK, Whose(by="BMC", uuid=UUID[:-1] + "0"), MACHINE, "db1", "another-machine"),
        (LOOK, SILENT, MACHINE, "db1", "unproven"),
        (_look(asset="i-0other"), Whose(by="aws", pinned="i-0abc"), MACHINE, "db1", "unproven"),
        (None, None, MACHINE, "db1", "no-answer"),
        (None, OWN, Machine(name="db", serial="CZJ1"), "db1", "unproven"),
        (None, OWN, Machine(name="db", nodename="db1"), "db1", "unproven"),
        (None, OWN, MACHINE, "db", "another-machine"),
        (None, OTHERS, MACHINE, "db1", "another-machine"),
        (None, SILENT, MACHINE, "db1", "unproven"),
    ],
)
def test_it_is_not_or_nobody_can_tell(
    look: Look | None, whose: Whose | None, machine: Machine, crash: str, slug: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        _ask(look, whose, machine, crash, even=True, again=True)
    assert (caught.value.slug, caught.value.exit_code) == (slug, 5)


def test_a_machine_that_would_leave_no_dump() -> None:
    with pytest.raises(RefusedError) as caught:
        _ask(LOOK, None, ready=False)
    assert caught.value.slug == "not-ready"
    assert _ask(LOOK, None, ready=False, even=True)
    assert _ask(LOOK, None, ready=None)


def test_not_while_it_may_be_saving() -> None:
    record = TriggerRecord(
        host="db", nodename="db1", via="ipmi", what="", who="me@here", when=time.time(), proof=""
    )
    keep(record)
    with pytest.raises(RefusedError, match="by me@here") as caught:
        _ask(LOOK, None)
    assert caught.value.slug == "just-triggered"
    assert _ask(LOOK, None, again=True)
    # Another machine's, or one that was seen to come back since, is nobody's business.
    assert _ask(_look(node="db2"), None, Machine(name="db2"), "db2")
    keep(msgspec.structs.replace(record, when=time.time() + 2, outcome="back, with another boot"))
    assert _ask(LOOK, None)


def test_identities() -> None:
    for blank in ("", "To Be Filled By O.E.M.", "Default string", " None ", "0123456789"):
        assert clean_serial(blank) is None
    assert clean_uuid("03000200-0400-0500-0006-000700080009") is None
    # SMBIOS before 2.6 and IPMI's byte order: the same 16 bytes.
    assert same_uuid(UUID, "44454c4c-3700-1030-8048-b7c04f4d3733")
    assert same_uuid(UUID, "33374d4f-c0b7-4880-1030-3700444 54c4c".replace(" ", ""))
    assert not same_uuid(UUID, "44454c4c-3700-1030-8048-b7c04f4d3734")


@pytest.mark.parametrize(
    ("effect", "look", "obeyed", "why"),
    [
        (Effect.SYSRQ_WRITE, _look(sysrq=0), True, "root may always"),
        (Effect.SYSRQ_KEY, _look(sysrq=438), False, "kernel.sysrq=446"),
        (Effect.SYSRQ_KEY, _look(sysrq=184), True, "184"),
        (Effect.SYSRQ_KEY, _look(sysrq=1), True, "1"),
        (Effect.NMI, LOOK, True, "unknown_nmi_panic"),
        (Effect.NMI, _look(unknown_nmi_panic=False), False, "sysctl -w kernel.unknown_nmi_panic=1"),
        (
            Effect.NMI,
            _look(unknown_nmi_panic=False, panic_on_unrecovered_nmi=True),
            True,
            "panic_on_unrecovered_nmi",
        ),
        (Effect.NMI, _look(unknown_nmi_panic=False, hpwdt=True), True, "hpwdt"),
        (Effect.NMI, _look(unknown_nmi_panic=False, panic_on_io_nmi=True), None, "I/O check"),
        (Effect.NMI, _look(machine="aarch64"), None, "aarch64"),
        (Effect.NMI, _look(machine="s390x"), True, "restart"),
        (Effect.NMI, None, None, "does not answer"),
    ],
)
def test_would_its_kernel_obey(
    effect: Effect, look: Look | None, obeyed: bool | None, why: str
) -> None:
    answer = would_obey(effect, look)
    assert answer.obeyed is obeyed and why in answer.why
