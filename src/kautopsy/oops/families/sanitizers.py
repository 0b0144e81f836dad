"""KASAN, KMSAN, KCSAN, KFENCE, UBSAN: checks that the compiler or the allocator built in."""

from __future__ import annotations

import re

from kautopsy.model.crash import Kind
from kautopsy.model.lazy import lazy_pattern
from kautopsy.oops.body import Body
from kautopsy.oops.families.base import (
    FUNCTION,
    Name,
    in_function,
    on_stack,
    report,
    said_or_stacked,
    skip,
)
from kautopsy.oops.titles import plain

_ACCESS = lazy_pattern(r"\b(Read|Write|read|write) (?:of size|access|at) ?")
_FREEING = skip(
    "^_*kmem_",
    "slab_",
    "kfree",
    "vunmap",
    "vfree",
    "^_*k?v?free",
    "mempool_",
    "^qlink",
    "cache_free",
    "poison",
    "slab",
)
_INFOLEAK = skip(
    "^_*copy_", "^instrument_", "^_*copyout", "copy_to_user", "iov_iter", "simple_copy"
)


@report(
    "kasan",
    # mm/kasan/report.c print_error_description; `BUG: KASan:` at first
    r"BUG: KAS(?:AN|an): (?P<what>[\w-]+(?: (?!in\b|on\b)[\w-]+){0,3})"
    r"(?: in (?P<where>[A-Za-z_.$][\w.$]*)(?:\+0x[0-9a-f]+|$|[ \t]))?",
    words=("BUG: KAS",),
)
def _kasan(match: re.Match[str], body: Body) -> Name:
    what = match["what"]
    where = match["where"]
    window = body.window(30)
    if "double-free" in what or "invalid-free" in what:
        function = said_or_stacked(where, body, _FREEING)
        title = "KASAN: double-free" if what == "double-free" else "KASAN: invalid-free"
        others = tuple(
            in_function(f"KASAN: {other}", function)
            for other in ("double-free", "invalid-free", "double-free or invalid-free")
        )
        return Name(kind=Kind.MEMORY_SAFETY, title=in_function(title, function), titles=others)
    access = _ACCESS.search(window)
    if where is None and "on address" in body.head.text:
        # old reports: the function only in the `Read of size 8 by task` line's stack
        function = on_stack(body) if body.has_trace else None
    else:
        function = said_or_stacked(where, body)
    title = f"KASAN: {what} {access[1].capitalize()}" if access else f"KASAN: {what}"
    corrupted = None
    if where is None and not function:
        corrupted = "the report does not say where"
    elif access is None:
        corrupted = "the line that says how memory was accessed is missing"
    others = (in_function(f"KASAN: {what}", function),)
    if where and plain(where) != function:
        others += (in_function(title, plain(where)),)
    return Name(
        kind=Kind.MEMORY_SAFETY,
        title=in_function(title, function),
        titles=others,
        corrupted=corrupted,
    )


@report(
    "kmsan",
    rf"BUG: KMSAN: (?P<what>[\w-]+) in {FUNCTION}|BUG: KMSAN: (?P<bare>[\w-]+)",
    words=("BUG: KMSAN: ",),
)
def _kmsan(match: re.Match[str], body: Body) -> Name:
    what = match["what"] or match["bare"]
    skipped = _INFOLEAK if "infoleak" in what else skip("(?!)")
    if "usb-infoleak" in what:
        skipped = skip("^usb_(?:submit_urb|start_wait_urb|bulk_msg|interrupt_msg|control_msg)")
    function = said_or_stacked(match["function"], body, skipped)
    return Name(kind=Kind.MEMORY_SAFETY, title=in_function(f"KMSAN: {what}", function))


@report(
    "kcsan",
    r"BUG: KCSAN: (?P<what>[\w :-]+?) in (?P<where>.+?)\s*$|BUG: KCSAN: (?P<bare>.*)$",
    words=("BUG: KCSAN: ",),
)
def _kcsan(match: re.Match[str], body: Body) -> Name:
    if match["where"] is None:
        return Name(
            kind=Kind.DATA_RACE,
            title="KCSAN: data-race",
            corrupted="the report does not say where",
        )
    names = [plain(name.split("+")[0].strip()) for name in match["where"].split(" / ")]
    where = " / ".join(name for name in names if name)
    what = " ".join(match["what"].split())
    return Name(kind=Kind.DATA_RACE, title=f"KCSAN: {what} in {where}", needs_trace=False)


@report(
    "kfence",
    rf"BUG: KFENCE: (?P<what>use-after-free (?:read|write)|out-of-bounds (?:read|write)"
    rf"|memory corruption|invalid free|invalid (?:read|write)"
    rf"|[\w -]+?)(?: \w+)? in {FUNCTION}|BUG: KFENCE: (?P<bare>[\w -]+)",
    words=("BUG: KFENCE: ",),
)
def _kfence(match: re.Match[str], body: Body) -> Name:
    what = (match["what"] or match["bare"] or "").strip()
    freeing = ("free" in what and "use-after" not in what) or "corruption" in what
    function = said_or_stacked(match["function"], body, *((_FREEING,) if freeing else ()))
    return Name(kind=Kind.MEMORY_SAFETY, title=in_function(f"KFENCE: {what}", function))


@report(
    "ubsan",
    r"UBSAN: (?P<what>[\w' -]+?) in (?P<file>\S+?)(?::\d+)*\s*$|UBSAN: (?P<bare>[\w' -]+)",
    words=("UBSAN: ",),
)
def _ubsan(match: re.Match[str], body: Body) -> Name:
    what = (match["what"] or match["bare"] or "").strip().lower().replace(" ", "-")
    skipped = skip("ubsan", "^handle_overflow", "overflow$")
    return Name(
        kind=Kind.MEMORY_SAFETY,
        title=in_function(f"UBSAN: {what}", on_stack(body, skipped)),
    )
