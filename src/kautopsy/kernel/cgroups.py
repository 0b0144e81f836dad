"""Control groups: who may use how much, how much they did, and whether they ran into it.

Of all hierarchies: the unified one (v2), and those of v1, which systemd's hybrid layout and older
containers still mount. A controller lives in one hierarchy at a time, so a value is None where the
group's hierarchy has not the controller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

import msgspec
from drgn import Object, Program, cast
from drgn.helpers.linux.cgroup import cgroup_path, css_for_each_descendant_pre
from drgn.helpers.linux.list import list_for_each_entry

from kautopsy.kernel.globals import variable
from kautopsy.kernel.reading import READ_ERRORS, known, readable, reason, text, until_unreadable
from kautopsy.kernel.table import Column, table
from kautopsy.model.base import Unreadable

_CSS_ONLINE = 1 << 1  # include/linux/cgroup-defs.h: CSS_NO_REF, CSS_ONLINE, ...
_V1_FROZEN = 1 << 3  # kernel/cgroup/legacy_freezer.c: CGROUP_FROZEN
_V1_FREEZING = 0b110  # CGROUP_FREEZING_SELF, CGROUP_FREEZING_PARENT
_MOST = 1_000_000


class Cgroup(msgspec.Struct, frozen=True):
    """One control group of one hierarchy."""

    path: Annotated[str | Unreadable, Column("from its hierarchy's root")]
    hierarchy: Annotated[str, Column("v2, or v1 with what it was mounted for: v1:cpu,cpuacct")]
    controllers: Annotated[str | Unreadable, Column("enabled for the group, joined by commas")]
    address: Annotated[int, Column("of its struct cgroup", unit="address")]
    online: Annotated[bool | Unreadable, Column("False: removed, but something still refers to it")]
    frozen: Annotated[
        str | Unreadable | None, Column("no, freezing or frozen; null: nothing can freeze it")
    ]
    memory: Annotated[int | Unreadable | None, Column("in use", unit="bytes")]
    memory_max: Annotated[int | Unreadable | None, Column("limit; null: none", unit="bytes")]
    memory_high: Annotated[
        int | Unreadable | None, Column("beyond which it is throttled; null: none", unit="bytes")
    ]
    memory_peak: Annotated[int | Unreadable | None, Column("most ever in use", unit="bytes")]
    swap: Annotated[int | Unreadable | None, Column("in use; null in v1", unit="bytes")]
    swap_max: Annotated[int | Unreadable | None, Column("limit; null: none", unit="bytes")]
    oom: Annotated[
        int | Unreadable | None, Column("times it was out of memory, in it or below; null in v1")
    ]
    oom_kills: Annotated[
        int | Unreadable | None, Column("processes killed for lack of memory, in it or below")
    ]
    pids: Annotated[int | Unreadable | None, Column("tasks in it and below")]
    pids_max: Annotated[int | Unreadable | None, Column("limit; null: none")]


@table
def cgroups(program: Program) -> Iterator[Cgroup]:
    """Control groups of all hierarchies, with their limits and what they use."""
    reader = _Reader(program)
    for root, default in _roots(program):
        name = "v2" if default else f"v1:{reader.mounted_for(root)}"
        top = root.cgrp.self.address_of_()
        reader.enter(root)
        for number, css in enumerate(css_for_each_descendant_pre(top)):
            # A damaged list may lead round in circles.
            if number >= _MOST:
                raise ValueError(f"more than {_MOST:,} groups in {name}")
            yield reader.row(css, name, default)


def _roots(program: Program) -> Iterator[tuple[Object, bool]]:
    """Every ``struct cgroup_root`` that is mounted, and the default one: (root, is v2)."""
    default = variable(program, "cgrp_dfl_root", "struct cgroup_root")
    heads = variable(program, "cgroup_roots", "struct list_head")
    yield default, True
    for root in list_for_each_entry("struct cgroup_root", heads.address_of_(), "root_list"):
        if int(root) != default.address_:
            yield root[0], False


class _Reader:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._page = int(program["PAGE_SIZE"])
        self._numbers = {
            one.name.removesuffix("_cgrp_id"): one.value
            for one in program.type("enum cgroup_subsys_id").enumerators or ()
            if one.name.endswith("_cgrp_id")
        }
        # PAGE_COUNTER_MAX is LONG_MAX / PAGE_SIZE (include/linux/page_counter.h), PIDS_MAX more
        # than there can be pids.
        self._no_limit = ((1 << 63) - 1) // self._page
        self._kept: dict[str, dict[int, Object]] = {}

    def enter(self, root: Object) -> None:
        """Find what the controllers keep for the groups of a hierarchy.

        From a group that was removed its controllers are unlinked (kernel/cgroup/cgroup.c,
        ``offline_css()``), but not from each other: the memory of such a group is still in use.
        """
        self._kept = {
            controller: known(readable(lambda name=controller: self._of_all(root, name)), {})  # type: ignore[misc]
            for controller in ("memory", "pids")
        }

    def _of_all(self, root: Object, controller: str) -> dict[int, Object]:
        """Address of the group → ``struct cgroup_subsys_state *``."""
        number = self._numbers.get(controller)
        top = None if number is None else root.cgrp.subsys[number].read_()
        if not top:
            return {}
        found: dict[int, Object] = {}
        for css in until_unreadable(css_for_each_descendant_pre(top)):
            found[int(css.cgroup)] = css
            if len(found) > _MOST:
                break
        return found

    def mounted_for(self, root: Object) -> str:
        """Controllers of a v1 hierarchy, and its name if it has one (``name=systemd``)."""
        mask = int(root.subsys_mask)
        names = [name for name, number in self._numbers.items() if mask >> number & 1]
        label = text(root.name.string_())
        return ",".join(names + ([f"name={label}"] if label else []))

    def row(self, css: Object, hierarchy: str, default: bool) -> Cgroup:
        group = css.cgroup
        memory = self._state(group, "memory", "struct mem_cgroup *")
        pids = self._state(group, "pids", "struct pids_cgroup *")
        top = not group.self.parent
        return Cgroup(
            path=readable(lambda: text(cgroup_path(group))),
            hierarchy=hierarchy,
            controllers=readable(lambda: self._controllers(group)),
            address=int(group),
            online=readable(lambda: bool(int(css.flags) & _CSS_ONLINE)),
            frozen=readable(lambda: self._frozen(group, default, top)),
            memory=_of(memory, lambda it: int(it.memory.usage.counter) * self._page),
            memory_max=_of(memory, lambda it: self._limit(it.memory.max)),
            memory_high=_of(memory, lambda it: self._limit(it.memory.high) if default else None),
            memory_peak=_of(memory, lambda it: int(it.memory.watermark) * self._page),
            swap=_of(
                memory,
                lambda it: int(it.swap.usage.counter) * self._page if default else None,
            ),
            swap_max=_of(memory, lambda it: self._limit(it.swap.max) if default else None),
            oom=_of(memory, lambda it: self._event(it, "MEMCG_OOM") if default else None),
            oom_kills=_of(memory, lambda it: self._event(it, "MEMCG_OOM_KILL")),
            pids=_of(pids, lambda it: int(it.counter.counter)),
            pids_max=_of(pids, lambda it: self._most_pids(it)),
        )

    def _state(self, group: Object, controller: str, kind: str) -> Object | Unreadable | None:
        """The controller's own struct for ``group``; its ``css`` is the first member."""
        number = self._numbers.get(controller)
        if number is None:
            return None
        css = self._kept[controller].get(int(group))
        if css is None:
            css = readable(lambda: group.subsys[number].read_())
        if isinstance(css, Unreadable):
            return css
        return cast(kind, css) if css else None

    def _controllers(self, group: Object) -> str:
        return ",".join(name for name, number in self._numbers.items() if group.subsys[number])

    def _limit(self, pages: Object) -> int | None:
        value = int(pages)
        return None if value >= self._no_limit else value * self._page

    def _event(self, memory: Object, name: str) -> int:
        return int(memory.memory_events[int(self._program.constant(name))].counter)

    def _most_pids(self, pids: Object) -> int | None:
        value = int(pids.limit.counter)
        # PIDS_MAX: PID_MAX_LIMIT + 1, 4 Mi + 1 on 64-bit machines (kernel/cgroup/pids.c).
        return None if value > 4 << 20 else value

    def _frozen(self, group: Object, default: bool, top: bool) -> str | None:
        if default:
            if top:
                return None
            freezer = group.freezer
            if not freezer.e_freeze:
                return "no"
            frozen = int(self._program.constant("CGRP_FROZEN"))
            return "frozen" if int(group.flags) >> frozen & 1 else "freezing"
        number = self._numbers.get("freezer")
        if number is None or not group.subsys[number] or top:
            return None
        state = int(cast("struct freezer *", group.subsys[number]).state)
        if state & _V1_FROZEN:
            return "frozen"
        return "freezing" if state & _V1_FREEZING else "no"


def _of(
    state: Object | Unreadable | None, read: Callable[[Object], int | None]
) -> int | Unreadable | None:
    """``read(state)``; None where the group has not the controller."""
    if state is None or isinstance(state, Unreadable):
        return state
    try:
        return read(state)
    except READ_ERRORS as error:
        return Unreadable(reason(error))
