"""``p``: print the value of an expression."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from drgn import Object, TypeKind

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.shell.context import cpus
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.expression import evaluate
from kautopsy.shell.registry import Lines, command
from kautopsy.shell.session import Session
from kautopsy.shell.types import declare, unaliased
from kautopsy.shell.values import Values, is_character


@command(
    "p",
    "print the value of an expression",
    usage="[-x|-d][-u] [expression | symbol[:cpuspec]]",
    raw=True,
    drgn="""
    prog["jiffies"]            # a variable
    prog["init_task"].comm     # a member
    """,
)
def p(session: Session, arguments: argparse.Namespace) -> Lines:
    """Evaluates a C expression: variables, members, pointers, casts, arithmetic, sizeof.

    -x and -d choose the base; -u reads the current task's user space (the expression is then an
    address, *(type *)address). SYMBOL:cpuspec shows a per-CPU variable on CPUs 0,2-3, a for all.
    gdb's formats stand behind a slash: p/x, p/t, p/c (help gdb).
    """
    session.need_types("p")
    text = arguments.text
    options = {"hexadecimal": False, "decimal": False}
    user = False
    while found := re.match(r"-([xdu])\s+", text):
        text = text[found.end() :]
        user |= found[1] == "u"
        if found[1] != "u":
            options["hexadecimal" if found[1] == "x" else "decimal"] = True
    if not text:
        raise BadArgumentsError("an expression is missing", hint="help p")
    values = Values(session.program, session.base(**options))
    per_cpu = re.fullmatch(r"([A-Za-z_]\w*):([\w,-]*)", text)
    if per_cpu is not None:
        yield from _per_cpu(session, values, per_cpu[1], per_cpu[2])
        return
    value = _user(session, text) if user else evaluate(session.program, text)
    need_memory(value)
    name = f"{text} = " if re.fullmatch(r"[A-Za-z_]\w*", text) else ""
    yield from f"{name}${session.next_value()} = {top(values, value)}".split("\n")


def need_memory(value: Object) -> None:
    """Complain about a value whose memory begins where there is none, as at NULL.

    :raises CommandError: as gdb says it
    """
    if value.address_ is None:
        return
    try:
        value.prog_.read(value.address_, 1)
    except READ_ERRORS:
        raise CommandError(f"Cannot access memory at address {value.address_:#x}") from None


def top(values: Values, value: Object) -> str:
    """A value as gdb's ``print`` shows it: pointers with their types."""
    type_ = unaliased(value.type_)
    text = values.text(value)
    if type_.kind is TypeKind.POINTER and not is_character(unaliased(type_.type)):
        return f"({declare(value.type_)}) {text}"
    return text


def _user(session: Session, text: str) -> Object:
    """``*(type *)address``, or a structure at an address, in the user space of the current task."""
    from drgn import sizeof

    from kautopsy.shell.commands.struct import user_bytes

    value = evaluate(session.program, text)
    if value.address_ is None:
        raise BadArgumentsError("-u takes an expression for what lies at an address", thing=text)
    raw = user_bytes(session, value.address_, sizeof(value.type_))
    return Object.from_bytes_(session.program, value.type_, raw)


def _per_cpu(session: Session, values: Values, name: str, spec: str) -> Iterator[str]:
    from drgn.helpers.linux.percpu import per_cpu

    variable = evaluate(session.program, name)
    for cpu in cpus(session, spec):
        try:
            here = per_cpu(variable, cpu)
            text = top(values, here)
        except READ_ERRORS as error:
            text = f"(cannot be read: {error})"
        yield from f"per_cpu({name}, {cpu}) = ${session.next_value()} = {text}".split("\n")
