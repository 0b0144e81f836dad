"""Crashes as a fleet's consoles print them, with what differs from one to the next."""

from __future__ import annotations

import random

from kautopsy.fleet.grouping.sighting import Sighting, machine_of
from kautopsy.oops import read_text

OOPS = """\
[{up}] BUG: kernel NULL pointer dereference, address: 0000000000000{low}
[{up}] #PF: supervisor read access in kernel mode
[{up}] #PF: error_code(0x0000) - not-present page
[{up}] Oops: 0000 [#1] PREEMPT SMP NOPTI
[{up}] CPU: {cpu} PID: {pid} Comm: {comm} Not tainted {release} #1
[{up}] Hardware name: {model}, BIOS {bios} 04/01/2024
[{up}] RIP: 0010:{function}+0x{offset}/0x120 [{module}]
[{up}] RSP: 0018:ffffb0{rnd}d40 EFLAGS: 00010246
[{up}] RAX: 0000000000000000 RBX: ffff9a{rnd}000 RCX: 0000000000000000
[{up}] Call Trace:
[{up}]  <TASK>
[{up}]  {module}_submit+0x4a/0x90 [{module}]
[{up}]  {module}_queue_rq+0x11c/0x2d0 [{module}]
[{up}]  blk_mq_dispatch_rq_list+0x121/0x7e0
[{up}]  __blk_mq_sched_dispatch_requests+0xa4/0x150
[{up}]  blk_mq_run_work_fn+0x6b/0x80
[{up}]  process_one_work+0x1c7/0x380
[{up}]  worker_thread+0x4d/0x380
[{up}]  kthread+0xda/0x100
[{up}]  ret_from_fork+0x22/0x30
[{up}]  </TASK>
[{up}] Modules linked in: {module} nvme ext4 {modules}
[{up}] ---[ end trace 0000000000000000 ]---
[{up}] Kernel panic - not syncing: Fatal exception
"""


def console(
    seed: int,
    *,
    function: str = "frob_start",
    module: str = "frob",
    release: str = "6.1.0-50-amd64",
    model: str = "Dell Inc. PowerEdge R750/0WMWCR",
    bios: str = "1.5.4",
    modules: str = "xfs bonding",
) -> str:
    """One crash's text; ``seed`` sets what is chance."""
    rng = random.Random(seed)
    return OOPS.format(
        up=f"{rng.uniform(100, 9_000_000):13.6f}",
        low=f"{rng.randrange(0x10, 0xFF):03x}",
        cpu=rng.randrange(64),
        pid=rng.randrange(300, 4_000_000),
        comm=f"kworker/{rng.randrange(64)}:1H",
        rnd=f"{rng.randrange(1 << 28):07x}",
        offset=f"{rng.randrange(0x20, 0x100):x}",
        function=function,
        module=module,
        release=release,
        model=model,
        bios=bios,
        modules=modules,
    )


def sighting(
    seed: int, host: str = "web01", at: float | None = 1_790_000_000.0, **how: str
) -> Sighting:
    """A crash of :func:`console` as intake hands it in."""
    (crash,) = read_text(console(seed, **how))
    return Sighting(
        crash=crash,
        host=host,
        at=at,
        fallback_at=1_790_000_000.0,
        origin="log",
        machine=machine_of(crash),
    )
