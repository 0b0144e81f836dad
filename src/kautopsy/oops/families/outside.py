"""Assertions of code from outside the kernel's tree, which stop a thread, and hypervisors' panics.

OpenZFS (module/os/linux/spl/spl-err.c) and Lustre (libcfs/debug.c) have checks of their own: the
thread that fails one prints its stack and sleeps for ever, unless a module's parameter asks for
panic().
"""

from __future__ import annotations

import re

from kautopsy.model.crash import Kind, Trigger
from kautopsy.oops.body import Body
from kautopsy.oops.families.base import Name, in_function, on_stack, report, skip
from kautopsy.oops.titles import stable

_FAILING = skip("^spl_", "^lbug_", "^libcfs_", "^v?cmn_err$", "^zfs_panic_recover$")


@report(
    "assertion",
    # spl_panic(), in words of its own until 0.6.3; Lustre's libcfs_debug_msg() and lbug_with_loc()
    r"^PANIC at (?P<file1>[\w./-]+):(?P<line1>\d+):(?P<function1>\w+)\(\)"
    r"|^(?:SPLError|LustreError): \d+:\d+:\((?P<file2>[\w./-]+):(?P<line2>\d+):"
    r"(?P<function2>\w+)\(\)\) (?:SPL PANIC|LBUG|ASSERTION ?\(|VERIFY)"
    # vcmn_err(CE_PANIC)
    r"|^PANIC: (?P<what>(?!double fault)\S.*)",
    detail_of=("assertion",),
    words=("PANIC at ", "PANIC: ", "SPL PANIC", "LBUG", "ASSERTION", "VERIFY"),
)
def _assertion(match: re.Match[str], body: Body) -> Name:
    function = match["function1"] or match["function2"]
    if function is None:
        said = f"PANIC: {stable(match['what'])}"
        stacked = on_stack(body, _FAILING) if body.has_trace else None
        return Name(kind=Kind.BUG, title=in_function(said, stacked), titles=(said,))
    file, line = match["file1"] or match["file2"], match["line1"] or match["line2"]
    return Name(
        kind=Kind.BUG,
        title=in_function("assertion failed", function),
        titles=(f"PANIC at {file}:{line}:{function}()",),
    )


@report(
    "xen-panic",
    # xen/drivers/char/console.c panic(): the reason is on the next line
    r"^\(XEN\) (?:\[[^\]]{1,30}\] )?Panic on CPU \d+:",
    words=("Panic on CPU ",),
)
def _xen(match: re.Match[str], body: Body) -> Name:
    """The hypervisor's own death, which takes all its guests with it."""
    reasons = (re.sub(r"^\(XEN\) (?:\[[^\]]*\] )?", "", text) for text in body.texts()[1:3])
    reason = next((text.strip() for text in reasons if text.strip(" *")), "")
    return Name(
        kind=Kind.PANIC,
        title=f"Xen hypervisor panic: {stable(reason)}" if reason else "Xen hypervisor panic",
        trigger=Trigger.PANIC,
        needs_trace=False,
    )
