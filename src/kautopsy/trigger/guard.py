"""Who may be panicked: nothing, unless everything here agrees that it is the machine that is meant.

The operator names the machine twice: once to reach it, and once (``--crash``) as it calls itself.
The second must be what the machine answers. Where it answers nothing, the inventory's node name
must be the one that was named, and the controller (BMC, hypervisor) must prove by the serial number
or UUID of the inventory that it holds that machine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from kautopsy.host.inventory import Machine
from kautopsy.model.errors import RefusedError
from kautopsy.trigger.look import Look, same_uuid
from kautopsy.trigger.records import records_of
from kautopsy.trigger.way import Whose

_PATTERN = frozenset("*?[]{},; \t\n")
_STILL_DUMPING = 600.0
"""Seconds in which a second trigger would kill the capture kernel while it saves."""

_OVER = ("back", "not told", "alive")
"""How the outcome of a trigger begins after which the machine is known to run."""


@dataclass(frozen=True)
class Order:
    """What the operator asks for.

    :param crash: the node name that was named
    :param even_if_not_ready: also where doctor says that no dump will come
    :param again: also where this machine was triggered a moment ago
    """

    crash: str
    even_if_not_ready: bool = False
    again: bool = False


@dataclass(frozen=True)
class Leave:
    """The guard agrees.

    :param proof: why it is the machine that is meant
    """

    node: str
    proof: str


def one_name(crash: str) -> str:
    """``crash``, which names one machine.

    :raises RefusedError: it is empty, a pattern or a list
    """
    if not crash or set(crash) & _PATTERN:
        raise RefusedError(
            "is no name of one machine",
            thing=crash or "--crash",
            hint="--crash takes the node name that the machine itself gives: no pattern, no list",
            slug="no-single-name",
        )
    return crash


def ask_leave(
    order: Order,
    machine: Machine,
    look: Look | None,
    whose: Whose | None,
    *,
    ready: bool | None,
    not_ready_why: str = "",
    console_proof: bool = False,
) -> Leave:
    """The guard's answer.

    :param look: what the machine says of itself; None if it does not answer
    :param whose: what the controller says; None if the way goes through the machine itself
    :param ready: doctor's verdict, None if there is none
    :param console_proof: a nonce that was written on the machine came out of the console that the
        same controller gave us
    :raises RefusedError: no
    """
    node = one_name(order.crash)
    proof = (
        _alive(node, machine, look, whose, console_proof=console_proof)
        if look is not None
        else _dead(node, machine, whose)
    )
    if ready is False and not order.even_if_not_ready:
        raise RefusedError(
            "doctor says that it would leave no dump"
            + (f": {not_ready_why}" if not_ready_why else ""),
            thing=node,
            hint="kautopsy doctor shows every fix; --even-if-not-ready panics it all the same",
            slug="not-ready",
        )
    if not order.again:
        _not_just_now(node)
    return Leave(node, proof)


def must_be_named(node: str, machine: Machine, look: Look) -> None:
    """Refuse a living machine that does not call itself ``node``.

    :raises RefusedError: it does not, or the inventory calls it something else
    """
    if look.node != node:
        raise RefusedError(
            f"the machine calls itself {look.node}, not {node}",
            thing=machine.name,
            hint="nothing was done; name the machine that is meant, as it calls itself",
            slug="another-machine",
        )
    if machine.nodename and machine.nodename != node:
        raise RefusedError(
            f"the inventory calls it {machine.nodename}, and it calls itself {node}",
            thing=machine.name,
            hint="one of the two is wrong: correct the inventory before anything is panicked",
            slug="another-machine",
        )


def _alive(
    node: str, machine: Machine, look: Look, whose: Whose | None, *, console_proof: bool
) -> str:
    must_be_named(node, machine, look)
    if machine.serial and look.serial and machine.serial != look.serial:
        raise RefusedError(
            f"its serial number is {look.serial}, in the inventory {machine.serial}",
            thing=machine.name,
            slug="another-machine",
        )
    said = f"it calls itself {node}"
    if whose is None:
        return said
    # What the machine says of itself counts more than what anybody wrote down.
    if held := _holds(machine, whose, look.serial or machine.serial, look.uuid or machine.uuid):
        return f"{said}; {held}"
    if console_proof:
        return f"{said}; what was written to its log came out of the console of {whose.by}"
    if whose.pinned and (whose.pinned == look.asset or not look.asset):
        return f"{said}; by the inventory it is {whose.pinned}"
    raise _unproven(machine, whose, look.serial, look.uuid)


def _dead(node: str, machine: Machine, whose: Whose | None) -> str:
    if whose is None:
        raise RefusedError(
            "does not answer, so it cannot say who it is",
            thing=machine.name,
            hint="a way that needs no answer: --via ipmi, redfish, libvirt …",
            slug="no-answer",
        )
    if not machine.nodename:
        raise RefusedError(
            "does not answer, and the inventory does not say what it calls itself",
            thing=machine.name,
            hint="add nodename and serial (or uuid) to the inventory while the machine lives",
            slug="unproven",
        )
    if machine.nodename != node:
        raise RefusedError(
            f"the inventory calls it {machine.nodename}, not {node}",
            thing=machine.name,
            slug="another-machine",
        )
    if held := _holds(machine, whose, machine.serial, machine.uuid):
        return f"the inventory calls it {node}; {held}"
    if whose.pinned:
        return f"the inventory calls it {node} and binds it to {whose.pinned}"
    raise _unproven(machine, whose, None, None)


def _holds(machine: Machine, whose: Whose, serial: str, uuid: str) -> str:
    """Why ``whose`` holds the machine, or nothing if nobody can tell; what differs is refused."""
    proofs = []
    if serial and serial in whose.serials:
        proofs.append(f"{whose.by} gives its serial number, {serial}")
    if uuid and whose.uuid and same_uuid(whose.uuid, uuid):
        proofs.append(f"{whose.by} gives its UUID, {uuid}")
    if proofs:
        # One that agrees outweighs another that a maker set in one place only.
        return "; ".join(proofs)
    if whose.serials and serial:
        raise _elsewhere(machine, whose, f"serial {', '.join(whose.serials)}", serial)
    if whose.uuid and uuid:
        raise _elsewhere(machine, whose, f"UUID {whose.uuid}", uuid)
    return ""


def _elsewhere(machine: Machine, whose: Whose, theirs: str, ours: str) -> RefusedError:
    return RefusedError(
        f"{whose.by} holds another machine: {theirs}, not {ours}",
        thing=machine.name,
        hint="the inventory gives this machine another's controller: correct it",
        slug="another-machine",
    )


def _unproven(machine: Machine, whose: Whose, serial: str | None, uuid: str | None) -> RefusedError:
    told = [f"serial {', '.join(whose.serials)}"] if whose.serials else []
    told += [f"uuid {whose.uuid}"] if whose.uuid else []
    known = [f"serial {serial}"] if serial else []
    known += [f"uuid {uuid}"] if uuid else []
    says = f"it says {' and '.join(told)}" if told else "it gives neither serial number nor UUID"
    ours = f", the machine says {' and '.join(known)}" if known else ""
    return RefusedError(
        f"nothing proves that {whose.by} holds this machine: {says}{ours}",
        thing=machine.name,
        hint="give the machine its serial (or uuid) in the inventory, or a console through the same"
        " controller, on which its log can be seen",
        slug="unproven",
    )


def _not_just_now(node: str) -> None:
    for _path, record in records_of(node):
        age = time.time() - record.when
        if 0 <= age < _STILL_DUMPING and not record.outcome.startswith(_OVER):
            raise RefusedError(
                f"was triggered {age:.0f} s ago by {record.who}, and nobody has seen it come back",
                thing=node,
                hint="another NMI would end the capture kernel that may be saving now; if it is"
                " known to be alive: --again",
                slug="just-triggered",
            )
        return
