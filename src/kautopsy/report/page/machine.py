"""What each CPU was doing, and where the memory was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from kautopsy.model.base import Unreadable
from kautopsy.model.machine import CpuContext, CpuState, MemoryUse
from kautopsy.report import units, words
from kautopsy.report.escape import clip
from kautopsy.report.page.markup import Content, Node, el
from kautopsy.report.page.parts import Number, table

_CARDS = 32
"""Up to this many CPUs get a card each; more get a cell and a table."""


def cpu_strip(cpus: tuple[CpuState, ...]) -> Iterator[Node]:
    """A card or a cell for each CPU, a legend, and for many CPUs a table of the busy ones."""
    many = len(cpus) > _CARDS
    counts = Counter(cpu.context for cpu in cpus)
    yield el(
        "ul",
        [
            el("li", el("i", class_=f"c-{context.value}"), f"{context.value} {counts[context]}")
            for context in CpuContext
            if counts[context]
        ],
        class_="legend",
    )
    yield el(
        "ol",
        [_cell(cpu) if many else _card(cpu) for cpu in cpus],
        class_="cpus many" if many else "cpus",
        aria_label="CPUs",
    )
    if many:
        busy = [cpu for cpu in cpus if not words.dull(cpu)]
        yield table(
            ("CPU", "Context", "Task", "In", "Runnable", "Note"),
            [
                (
                    Number(cpu.cpu, cpu.cpu),
                    cpu.context.value,
                    clip(words.cpu_runs(cpu), 80),
                    el("code", clip(cpu.function or "", 120)),
                    Number(cpu.runnable, -1 if cpu.runnable is None else cpu.runnable),
                    clip(cpu.note, 200),
                )
                for cpu in busy
            ],
            caption=f"{len(busy)} CPUs that were not simply idle",
        )


def _classes(cpu: CpuState) -> str:
    return f"cpu c-{cpu.context.value}" + (" crashed" if cpu.crashed else "")


def _card(cpu: CpuState) -> Node:
    where = None
    if cpu.function:
        where = el(
            "code",
            clip(cpu.function, 80),
            el("span", f" [{clip(cpu.module, 40)}]", class_="module") if cpu.module else None,
        )
    return el(
        "li",
        el(
            "div",
            el("b", f"CPU {cpu.cpu}"),
            el("span", cpu.context.value, class_="context"),
            el("span", "crashed", class_="badge fatal") if cpu.crashed else None,
        ),
        None if words.idle(cpu) else el("div", clip(words.cpu_runs(cpu), 60), class_="runs"),
        el("div", where) if where else None,
        el("div", f"{cpu.runnable} runnable", class_="muted")
        if cpu.runnable is not None and cpu.runnable > 1
        else None,
        el("div", clip(cpu.note, 200), class_="note") if cpu.note else None,
        class_=_classes(cpu),
    )


def _cell(cpu: CpuState) -> Node:
    said = [f"CPU {cpu.cpu}: {cpu.context.value}"]
    if cpu.task is not None:
        said.append(words.cpu_runs(cpu))
    if cpu.function:
        said.append(f"in {cpu.function}")
    if cpu.note:
        said.append(cpu.note)
    return el("li", str(cpu.cpu), class_=_classes(cpu), title=clip(", ".join(said), 200))


def memory_bar(memory: MemoryUse) -> Iterator[Node]:
    """The bar, its legend in numbers, and the largest consumers."""
    parts = words.memory_parts(memory)
    whole = memory.total if isinstance(memory.total, int) else 0
    whole = max(whole, sum(size for _name, size in parts), 1)
    at = 0.0
    segments: list[Node] = []
    for name, size in parts:
        width = 1000 * size / whole
        said = f"{words.MEMORY[name]}: {units.size(size)} ({units.share(size, whole)})"
        segments.append(
            el(
                "rect",
                el("title", said),
                x=at,
                y=0,
                # A hair of the background between neighbours tells them apart without colour.
                width=max(width - 2, 0.5),
                height=40,
                class_=f"m-{name}",
            )
        )
        at += width
    yield el(
        "svg",
        segments,
        viewBox="0 0 1000 40",
        preserveAspectRatio="none",
        class_="memory",
        role="img",
        aria_label="; ".join(f"{words.MEMORY[name]} {units.size(size)}" for name, size in parts),
    )
    yield el(
        "ul",
        [
            el(
                "li",
                el("i", class_=f"m-{name}"),
                f"{words.MEMORY[name]} ",
                el("b", units.size(size)),
                el("span", f" {units.share(size, whole)}", class_="muted"),
            )
            for name, size in parts
        ],
        class_="legend wide",
    )
    yield from _memory_notes(memory)
    if memory.largest:
        largest = max(consumer.bytes for consumer in memory.largest)
        yield table(
            ("What", "Name", "Size", "Of all", "Objects"),
            [
                (
                    words.consumer_kind(one),
                    _consumer(clip(one.name, 100), one.pid),
                    Number(_meter(one.bytes, largest), one.bytes),
                    units.share(one.bytes, whole),
                    Number("" if one.count is None else f"{one.count:,}", one.count or 0),
                )
                for one in memory.largest
            ],
            caption="Largest consumers",
        )


def _memory_notes(memory: MemoryUse) -> Iterator[Node]:
    missing = {
        value.unreadable: words.MEMORY[name]
        for name in words.MEMORY
        if isinstance(value := getattr(memory, name), Unreadable)
    }
    for why, name in missing.items():
        yield el("p", f"{name}: {why}", class_="muted")
    if (
        isinstance(memory.swap_total, int)
        and memory.swap_total
        and isinstance(memory.swap_free, int)
    ):
        used = memory.swap_total - memory.swap_free
        yield el(
            "p",
            f"Swap: {units.size(used)} of {units.size(memory.swap_total)} used"
            f" ({units.share(used, memory.swap_total)})",
        )


def _consumer(name: str, pid: int | None) -> Content:
    return (
        el("code", name),
        el("span", f" pid {pid}", class_="muted") if pid is not None else None,
    )


def _meter(size: int, largest: int) -> Content:
    bar = el(
        "svg",
        el("rect", x=0, y=0, width=100 * size / max(largest, 1), height=6, class_="m-anon"),
        viewBox="0 0 100 6",
        preserveAspectRatio="none",
        class_="meter",
        aria_hidden="true",
    )
    return (units.size(size), bar)
