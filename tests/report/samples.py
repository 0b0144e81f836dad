"""Reports to render: a machine that deadlocked, with everything a report can hold, and others."""

from __future__ import annotations

import msgspec

from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Crash, Frame, Kind, TaskRef, TextSpan, Trigger
from kautopsy.model.dump import DumpFile, DumpFormat
from kautopsy.model.finding import Culprit, Evidence, Finding, Severity, TaskRole, Verdict
from kautopsy.model.fingerprint import Fingerprint
from kautopsy.model.machine import (
    BacktraceOf,
    Consumer,
    ConsumerKind,
    CpuContext,
    CpuState,
    LockKind,
    MemoryUse,
    WaitEdge,
)
from kautopsy.model.report import Report, Symbols, SymbolSource, System

MIB = 1 << 20

LOG = """\
[    0.000000] Linux version 6.1.0-56-cloud-amd64 (Debian 6.1.192-2)
[    1.204417] EXT4-fs (vda1): mounted filesystem with ordered data mode
[   61.022113] ledger: module loaded, 2 books
[  104.881002] nvme nvme0: I/O 117 QID 2 timeout, aborting
[  242.731190] INFO: task ledger-post:412 blocked for more than 120 seconds.
[  242.731655]       Tainted: G           OE      6.1.0-56-cloud-amd64 #1 Debian 6.1.192-2
[  242.732041] "echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
[  242.732502] task:ledger-post     state:D stack:0     pid:412   ppid:2      flags:0x00004000
[  242.732950] Call Trace:
[  242.733121]  <TASK>
[  242.733266]  __schedule+0x359/0xa20
[  242.733513]  schedule+0x5d/0xe0
[  242.733731]  schedule_preempt_disabled+0x14/0x20
[  242.734011]  __mutex_lock.constprop.0+0x3a5/0x700
[  242.734316]  ledger_post+0x4e/0x90 [ledger]
[  242.734587]  </TASK>
[  363.563201] INFO: task ledger-audit:413 blocked for more than 241 seconds.
[  431.120874] sysrq: Trigger a crash
[  431.121180] Kernel panic - not syncing: sysrq triggered crash
[  431.121560] CPU: 1 PID: 990 Comm: bash Kdump: loaded Tainted: G           OE
[  431.121999] Call Trace:
[  431.122151]  <TASK>
[  431.122288]  dump_stack_lvl+0x45/0x5a
[  431.122530]  panic+0x118/0x2ed
[  431.122741]  sysrq_handle_crash+0x1a/0x20
[  431.123012]  </TASK>"""


def deadlock() -> Report:
    """Two tasks in a cycle over two mutexes, more waiting; an operator asked for the dump."""
    post, audit = TaskRef(pid=412, comm="ledger-post"), TaskRef(pid=413, comm="ledger-audit")
    culprit = Culprit(function="ledger_audit", module="ledger", file="ledger.c", line=88)
    book, index = 0xFFFFFFFFC0412080, 0xFFFFFFFFC04120C0
    stuck = (
        Frame(function="__schedule", offset=0x359, size=0xA20, address=0xFFFFFFFF81A0B359,
              file="kernel/sched/core.c", line=5242),
        Frame(function="schedule", offset=0x5D, size=0xE0, address=0xFFFFFFFF81A0BA7D,
              file="kernel/sched/core.c", line=6630),
        Frame(function="__mutex_lock", offset=0x3A5, size=0x700, address=0xFFFFFFFF81A0D3A5,
              file="kernel/locking/mutex.c", line=747),
    )  # fmt: skip
    return Report(
        dump=DumpFile(
            path="/var/crash/202611231022/dump.202611231022",
            format=DumpFormat.FLATTENED,
            complete=True,
            build_id="6b0a7c",
            release="6.1.0-56-cloud-amd64",
            arch="x86_64",
            dump_level=31,
            compression="lzo",
            size_bytes=148 * MIB,
        ),
        symbols=Symbols(
            source=SymbolSource.BTF, notes=("no debuginfo was found: no source lines for modules",)
        ),
        system=System(
            release="6.1.0-56-cloud-amd64",
            version="#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-10-28)",
            nodename="db-17.example.net",
            machine="x86_64",
            cpus=4,
            memory_bytes=4096 * MIB,
            crash_time=1795429320.0,
            uptime_seconds=431.1,
            load_average=(38.1, 22.75, 9.12),
            tasks=214,
            tainted=("O", "E"),
            cpus_online=4,
            panic="sysrq triggered crash",
        ),
        crash=Crash(
            kind=Kind.OPERATOR_SYSRQ,
            title="sysrq triggered crash in sysrq_handle_crash",
            trigger=Trigger.SYSRQ,
            cpu=1,
            task=TaskRef(pid=990, comm="bash"),
            frames=(
                Frame(function="machine_kexec", offset=0x1A4, size=0x240,
                      address=0xFFFFFFFF8107A1A4, file="arch/x86/kernel/machine_kexec_64.c",
                      line=379),
                Frame(function="crash_kexec", address=0xFFFFFFFF8118B0E3, inline=True,
                      file="kernel/kexec_core.c", line=1081),
                Frame(function="panic", offset=0x118, size=0x2ED, address=0xFFFFFFFF819F7C10,
                      file="kernel/panic.c", line=353),
                Frame(function="sysrq_handle_crash", offset=0x1A, size=0x20,
                      address=0xFFFFFFFF816B3FDA, file="drivers/tty/sysrq.c", line=155),
                Frame(function="write_sysrq_trigger", offset=0x24, size=0x40,
                      address=0xFFFFFFFF816B4A24, file="drivers/tty/sysrq.c", line=1180),
                Frame(function="mod_helper", offset=0x10, size=0x40, module="ledger",
                      address=0xFFFFFFFFC0410010, reliable=False),
                Frame(function="do_syscall_64", offset=0x58, size=0x80,
                      address=0xFFFFFFFF81A00058, file="arch/x86/entry/common.c", line=80),
            ),
            registers={"rip": 0xFFFFFFFF8107A1A4, "rsp": 0xFFFFC90000A37D80, "rax": 0, "cr2": 0},
            modules=("ledger", "virtio_net", "ext4", "nvme"),
            tainted=("O", "E"),
            fingerprint=Fingerprint(version=1, exact="1:4c0ffee0", keys={"title": "sysrq"}),
        ),
        findings=(
            Finding(
                kind=Kind.OPERATOR_SYSRQ,
                title="crash asked for through sysrq by bash (pid 990)",
                explanation="The kernel did not fail: bash asked for a crash dump.",
                confidence=0.99,
                severity=Severity.INFO,
                tasks=(TaskRole(pid=990, comm="bash", role="panicking"),),
                evidence=(
                    Evidence(what="panic message", value="sysrq triggered crash", show="log"),
                ),
                next=("Ask who triggered it.",),
            ),
            Finding(
                kind=Kind.DEADLOCK,
                title="ledger-post and ledger-audit wait for each other's mutexes",
                explanation=(
                    "ledger-post holds book_lock and waits for index_lock; ledger-audit holds "
                    "index_lock and waits for book_lock. Neither can go on, and 9 tasks wait for "
                    "them. The two functions take the same locks in opposite order."
                ),
                confidence=0.97,
                severity=Severity.FATAL,
                culprit=culprit,
                tasks=(
                    TaskRole(pid=412, comm="ledger-post", role="owner"),
                    TaskRole(pid=413, comm="ledger-audit", role="owner"),
                    TaskRole(pid=501, comm="nginx", role="waiter"),
                ),
                evidence=(
                    Evidence(what="book_lock is held by", value="ledger-post (pid 412)",
                             show=f"struct mutex {book:x}"),
                    Evidence(what="index_lock is held by", value="ledger-audit (pid 413)",
                             show=f"struct mutex {index:x}"),
                    Evidence(what="ledger-post has slept for", value="308 s", show="bt 412"),
                ),
                next=(
                    "Take book_lock before index_lock in ledger_audit, as ledger_post does.",
                    "Run a kernel with lockdep (CONFIG_PROVE_LOCKING): it names the order at the "
                    "first pass.",
                ),
            ),
        ),
        verdict=Verdict(
            kind=Kind.DEADLOCK,
            title="ledger-post and ledger-audit wait for each other's mutexes",
            confidence=0.97,
            culprit=culprit,
            finding=1,
            key="deadlock:mutex ledger_audit+ledger_post",
        ),
        log=tuple(LOG.split("\n")),
        cpus=(
            CpuState(cpu=0, context=CpuContext.IDLE, task=TaskRef(pid=0, comm="swapper/0"),
                     function="default_idle", runnable=0),
            CpuState(cpu=1, context=CpuContext.TASK, task=TaskRef(pid=990, comm="bash"),
                     function="sysrq_handle_crash", runnable=2, crashed=True),
            CpuState(cpu=2, context=CpuContext.SOFTIRQ, task=TaskRef(pid=77, comm="node"),
                     function="net_rx_action", runnable=5, note="no tick for 24 s"),
            CpuState(cpu=3, context=CpuContext.IRQ, task=TaskRef(pid=0, comm="swapper/3"),
                     function="ledger_irq", module="ledger", runnable=0),
        ),
        memory=MemoryUse(
            total=4000 * MIB,
            free=310 * MIB,
            anon=1210 * MIB,
            file=640 * MIB,
            shmem=96 * MIB,
            slab_reclaimable=120 * MIB,
            slab_unreclaimable=1180 * MIB,
            kernel_stacks=4 * MIB,
            page_tables=18 * MIB,
            hugetlb=0,
            vmalloc=31 * MIB,
            percpu=Unreadable("page excluded by makedumpfile"),
            swap_total=1024 * MIB,
            swap_free=400 * MIB,
            largest=(
                Consumer(kind=ConsumerKind.SLAB, name="ledger_entry", bytes=1100 * MIB,
                         count=4505600),
                Consumer(kind=ConsumerKind.PROCESS, name="postgres", bytes=801 * MIB, pid=612),
                Consumer(kind=ConsumerKind.PROCESS, name="nginx", bytes=96 * MIB, pid=501),
            ),
        ),
        waits=(
            WaitEdge(waiter=post, lock=LockKind.MUTEX, name="index_lock", address=index,
                     owner=audit, function="ledger_post", seconds=308.4, cycle=True),
            WaitEdge(waiter=audit, lock=LockKind.MUTEX, name="book_lock", address=book,
                     owner=post, function="ledger_audit", seconds=308.2, cycle=True),
            *(
                WaitEdge(waiter=TaskRef(pid=501 + i, comm="nginx"), lock=LockKind.MUTEX,
                         name="book_lock", address=book, owner=post, function="ledger_read",
                         seconds=300.0 - i)
                for i in range(9)
            ),
            WaitEdge(waiter=TaskRef(pid=88, comm="kworker/u8:1"), lock=LockKind.COMPLETION,
                     address=0xFFFF888003A1BC40, function="wait_for_completion", seconds=40),
        ),
        backtraces=(
            BacktraceOf(task=post, role="owner", state="D", cpu=0, seconds=308.4, frames=(
                *stuck, Frame(function="ledger_post", offset=0x4E, size=0x90, module="ledger",
                              address=0xFFFFFFFFC041004E))),
            BacktraceOf(task=audit, role="owner", state="D", cpu=2, seconds=308.2,
                        frames=Unreadable("page of 0xffffc90000a38000 is not in the dump")),
        ),
    )  # fmt: skip


def healthy() -> Report:
    """Nothing was wrong: somebody asked for a dump."""
    report = deadlock()
    finding = report.findings[0]
    verdict = Verdict(
        kind=finding.kind, title=finding.title, confidence=0.99, finding=0, key="operator-sysrq"
    )
    return msgspec.structs.replace(
        report, findings=(finding,), verdict=verdict, waits=(), backtraces=()
    )


def bare() -> Report:
    """All that is left of a dump whose pages are missing."""
    report = deadlock()
    assert report.dump is not None and report.system is not None
    why = Unreadable("page excluded by makedumpfile")
    return Report(
        dump=msgspec.structs.replace(
            report.dump, complete=False, problems=("the file is cut off after 12 MiB of 148 MiB",)
        ),
        symbols=Symbols(source=SymbolSource.NONE, notes=("the analysis ended early: 600 s",)),
        system=msgspec.structs.replace(
            report.system, cpus=why, load_average=why, tasks=why, panic=why
        ),
        crash=None,
        log=why,
        cpus=why,
        waits=why,
    )


def from_log() -> Report:
    """A log was reported: there is no dump."""
    report = deadlock()
    assert report.crash is not None
    crash = msgspec.structs.replace(
        report.crash,
        text=TextSpan(first_line=19, last_line=26),
        hardware="QEMU Standard PC",
        release="6.1.0-56-cloud-amd64",
        corrupted=True,
        corrupted_reason="lines of two CPUs are mixed",
    )
    return Report(
        dump=None,
        symbols=Symbols(source=SymbolSource.NONE),
        system=None,
        crash=crash,
        verdict=Verdict(kind=Kind.UNKNOWN, title="the log does not tell", confidence=0.0),
        log=report.log,
        log_file="console.log",
    )


def crowd(cpus: int = 192, waiters: int = 60) -> Report:
    """A large machine: many CPUs, chains of waiting tasks, a long log."""
    report = deadlock()
    assert isinstance(report.log, tuple)
    contexts = list(CpuContext)
    chain = [
        WaitEdge(
            waiter=TaskRef(pid=1000 + i, comm=f"worker-{i}"),
            lock=LockKind.RWSEM_READ if i % 3 else LockKind.RWSEM_WRITE,
            address=0xFFFF888000000000 + 0x100 * (i // 4),
            owner=TaskRef(pid=1000 + 4 * (i // 4 + 1), comm=f"worker-{4 * (i // 4 + 1)}"),
            seconds=float(i),
        )
        for i in range(waiters)
    ]
    states = [
        CpuState(
            cpu=i,
            context=CpuContext.IDLE if i % 5 else contexts[(i // 5) % len(contexts)],
            task=TaskRef(pid=0 if i % 5 else 3000 + i, comm=f"job-{i}"),
            function="default_idle" if i % 5 else "copy_page",
            crashed=i == 65,
        )
        for i in range(cpus)
    ]
    log = tuple(f"[{i / 4:12.6f}] eth0: packet {i}" for i in range(400))
    return msgspec.structs.replace(
        report, cpus=tuple(states), waits=tuple(chain), log=(*log, *report.log)
    )
