"""SLUB's report prints who had the object before the backtrace of who complains."""

from __future__ import annotations

import pytest

from kautopsy.model.crash import Kind
from kautopsy.oops.crashes import read_text

REPORT = """\
[   10.000001] =============================================================================
[   10.000002] BUG widget (Tainted: G           OE    ): Object already free
[   10.000003] -----------------------------------------------------------------------------
[   10.000004] {head}Allocated in widget_new+0x1a/0x30 [widgets] age=0 cpu=1 pid=129
[   10.000005] {tab}kmem_cache_alloc+0x1d3/0x1f0
[   10.000006] {tab}widget_new+0x1a/0x30 [widgets]
[   10.000007] {head}Freed in widget_free+0x14/0x20 [widgets] age=0 cpu=1 pid=129
[   10.000008] {tab}kmem_cache_free+0x3b6/0x420
[   10.000009] {tab}widget_free+0x14/0x20 [widgets]
[   10.000010] Slab 0x000000002b64b98b objects=14 used=0 fp=0x0000000047a05885 flags=0x200
[   10.000011] CPU: 1 PID: 129 Comm: sh Tainted: G    B      OE     5.10.0 #1
[   10.000012] Call Trace:
[   10.000013]  dump_stack+0x6b/0x83
[   10.000014]  free_debug_processing.cold+0xd2/0x136
[   10.000015]  kmem_cache_free+0x3b6/0x420
[   10.000016]  widget_drop+0x14/0x20 [widgets]
[   10.000017]  widget_ioctl+0x14/0x20 [widgets]
"""


@pytest.mark.parametrize(("head", "tab"), [("INFO: ", "\t"), ("", " ")])
def test_the_backtrace_is_that_of_who_complains(head: str, tab: str) -> None:
    [crash] = read_text(REPORT.format(head=head, tab=tab))
    assert crash.kind is Kind.SLAB_CORRUPTION
    assert [frame.function for frame in crash.frames][-2:] == ["widget_drop", "widget_ioctl"]
    assert "widget_new" not in [frame.function for frame in crash.frames]
