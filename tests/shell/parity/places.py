"""What the names in braces stand for on a dump: found by drgn, not by the commands under test."""

from __future__ import annotations

from drgn import Object, Program
from drgn.helpers.linux.fs import for_each_file
from drgn.helpers.linux.mm import follow_phys, for_each_vma, virt_to_phys
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.pid import for_each_task


def places(program: Program) -> dict[str, str]:
    """Name → what to put there. The task is the ``sleep`` that every specimen's guest runs."""
    tasks = {task.comm.string_().decode(): task for task in for_each_task(program)}
    task = tasks["sleep"]
    address = task.value_()
    vma = next(iter(for_each_vma(task.mm)))
    page = int(virt_to_phys(program, address)) & ~0xFFF
    _fd, file = next(iter(for_each_file(task)))
    inode, socketer = file.f_inode, tasks["nc"]
    inside = next(frame.pc for frame in program.stack_trace(task) if frame.name == "schedule")
    return {
        "task": f"{address:x}",
        "taskend": f"{address + 32:x}",
        "tasknode": f"{int(task.tasks.address_of_()):x}",
        "pid": str(int(task.pid)),
        "comm": "sleep",
        "socketer": str(int(socketer.pid)),
        "stack": f"{int(task.thread.sp) & ~0xF:x}",
        "page": f"{page:x}",
        "physical": f"{page:x}",
        "dentry": f"{int(file.f_path.dentry):x}",
        "file": "/dev/null",
        "return": f"{inside:x}",
        "text": f"{int(vma.vm_start):x}",
        "vma": f"{vma.value_():x}",
        "mm": f"{int(task.mm):x}",
        "pte": f"{_frame(task, int(vma.vm_start)) | 0x25:x}",
        "needle": f"{address:x}",
        # The lab's dumps hold no user pages: nothing to find, for either.
        "userword": "deadbeef",
        "sigset": "7ffbfeff",
        "rbroot": f"{_timers(program):x}",
        "xarray": f"{int(program['init_pid_ns'].idr.idr_rt.address_of_()):x}",
        "maple": f"{int(task.mm.mm_mt.address_of_()):x}",
        "waitq": "log_wait",
        "low32": f"{address & 0xFFFFFFFF:x}",
        "inode": f"{int(inode):x}",
        "superblock": f"{int(inode.i_sb):x}",
        "second": f"{int(program['modules'].next.next):x}",
        "percpu": f"{program.symbol('runqueues').address:x}",
        "signal": f"{int(task.signal):x}",
        "waitqaddress": f"{int(task.signal.wait_chldexit.address_of_()):x}",
        "vmalloced": f"{int(task.stack):x}",
        "tasksoffset": f"{int(task.tasks.address_of_()) - address:x}",
        "xarrayhead": f"{int(program['init_pid_ns'].idr.idr_rt.xa_head):x}",
    }


def _frame(task: Object, address: int) -> int:
    return int(follow_phys(task.mm, address)) & ~0xFFF


def _timers(program: Program) -> int:
    """A red-black tree that is never empty: the high-resolution timers of CPU 0."""
    base = per_cpu(program["hrtimer_bases"], 0)
    root = base.clock_base[0].active.rb_root.rb_root
    return int(root.address_of_())
