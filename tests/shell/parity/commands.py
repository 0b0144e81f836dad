"""What is asked of both programs: every command and every documented option.

Names in braces are filled in per dump: a task that sleeps, its address, a file, an address …
"""

from __future__ import annotations

ALL = (
    "*", "alias", "ascii", "bt", "btop", "dev", "dis", "eval", "exit", "extend", "files",
    "foreach", "fuser", "gdb", "help", "ipcs", "irq", "kmem", "list", "log", "mach", "mod",
    "mount", "net", "p", "ps", "pte", "ptob", "ptov", "q", "rd", "repeat", "runq", "search",
    "set", "sig", "struct", "swap", "sym", "sys", "task", "timer", "tree", "union", "vm", "vtop",
    "waitq", "whatis", "wr",
)  # fmt: skip
"""The 49 commands of crash 8.0."""

LINES = """\
* list_head
* task_struct.pid,comm {task}
alias
ascii 62696e2f7368
bt
bt -a
bt -c 0
bt -p
bt -n idle -a
bt {pid}
bt {task}
bt -g {pid}
bt -f {pid}
bt -F {pid}
bt -FF {pid}
bt -s {pid}
bt -sx {pid}
bt -l {pid}
bt -t {pid}
bt -T {pid}
bt -e {pid}
bt -E
bt -r {pid}
bt -v
bt -R schedule {pid}
btop 512a000
dev
dev -i
dev -p
dev -d
dev -D
dis vfs_write
dis vfs_write 5
dis -r {return}
dis -f {return} 4
dis -x vfs_write 8
dis -l vfs_write 6
dis {return}
eval 128m
eval -b 0x80a
eval 0x1ffff + 7
eval -l 0x123456789abcdef
files
files {pid}
files -c {pid}
files -d {dentry}
files -R /dev/null {pid}
foreach ps
foreach bt
foreach IN bt
foreach {comm} files
foreach user vm
foreach kernel ps
foreach gleader ps
foreach active ps
foreach task -R comm,pid
foreach user sig
foreach user net -s
foreach user vtop {text}
gdb print init_task.pid
gdb ptype struct list_head
gdb whatis init_task
ipcs
ipcs -s
ipcs -m
ipcs -q
irq
irq 0
irq -u
irq -d
irq -b
irq -a
irq -s
irq -s -c 0
kmem -i
kmem -f
kmem -F
kmem -v
kmem -V
kmem -n
kmem -z
kmem -o
kmem -h
kmem -g
kmem -g 8000
kmem -p {page}
kmem -m lru {page}
kmem -s
kmem -s kmalloc-64
kmem -s {task}
kmem -S kmalloc-8k
kmem -s list
kmem {task}
kmem jiffies
kmem {stack}
kmem {page}
list modules
list -H modules
list -H modules -o module.list
list -H modules -s module.name,state -l module.list
list -x -H modules -s module.state -l module.list
list task_struct.tasks -s task_struct.pid,comm -h {task}
list -o task_struct.tasks -h {task}
list -r task_struct.tasks -h {task}
log
log -t
log -m
log -T
log -c
log -d
mach
mach -m
mach -c
mod
mod -t
mount
mount -n {pid}
net
net -a
net -s {socketer}
net -S {socketer}
net -n {pid}
net -N 1041236234
p jiffies
p -x jiffies
p init_task.comm
p &init_task
p *&init_task.tasks
p modules
p init_uts_ns.name
p runqueues:0
p runqueues:a
p __per_cpu_offset
p linux_banner
p ((struct task_struct *)0x{task})->pid
p sizeof(struct task_struct)
ps
ps -k
ps -u
ps -G
ps -s
ps -A
ps -H
ps -y 0
ps {pid}
ps {task}
ps {comm}
ps '{comm}'
ps -p {pid}
ps -c 1
ps -t {pid}
ps -l
ps -m
ps -m -C 0
ps -a {pid}
ps -g {pid}
ps -r {pid}
ps -S
pte 80000000bffa6067
pte {pte}
ptob 512a
ptov 56e000
rd {task}
rd {task} 8
rd -64 {task} 4
rd -32 {task} 8
rd -16 {task} 8
rd -8 {task} 32
rd -d {task} 4
rd -D {task} 4
rd -x {task} 4
rd -s {stack} 16
rd -S {stack} 16
rd -SS {stack} 16
rd -a linux_banner
rd -N {task} 2
rd -p {physical} 4
rd -o 8 {task} 2
rd -e {taskend} {task}
rd linux_banner 4
runq
runq -t
runq -m
runq -g
runq -c 0
search -k {needle}
search -V {needle}
search -p -s {physical} -l 4096 {needle}
search -s {task} -l 4096 {needle}
search -t {task}
search -T {task}
search -m ffff -s {task} -l 4096 {needle}
search -u {userword}
search -c -s linux_banner -l 64 Debian
set
set {pid}
set -c 0
set -p
sig {pid}
sig -l
sig -s {sigset}
sig -g {pid}
struct list_head
struct -o task_struct
struct mm_struct.pgd
struct task_struct.se,pid
struct task_struct {task}
struct task_struct.pid,comm,tasks {task}
struct task_struct.pid -x {task}
struct task_struct.fs -p {task}
struct list_head -o {task}
struct list_head -r {task}
struct list_head {task} 3
struct task_struct -l task_struct.tasks {tasknode}
struct rq.nr_running runqueues:a
swap
sym jiffies
sym vfs_write
sym -m loop
sym -q vfs_write
sym -p jiffies
sym -n jiffies
sym -l
sym -M
sym {return}
sys
sys -c
sys -c sys_read
sys -t
sys -i
task -R comm,pid {pid}
task {pid}
task -x -R flags {pid}
timer
timer -r
timer -C 0
tree -t rbtree {rbroot}
tree -t xarray {xarray}
tree -t maple {maple}
union sigval
union -o bpf_attr
vm
vm {pid}
vm -p {pid}
vm -P {vma} {pid}
vm -M {mm} {pid}
vm -m {pid}
vm -v {pid}
vm -f 8000075
vm -R busybox {pid}
vtop {task}
vtop jiffies
vtop -c {pid} {text}
vtop -u {text}
waitq {waitq}
whatis jiffies
whatis vfs_write
whatis pid_t
whatis list_head
whatis -o list_head
whatis gfp_t
whatis -r 192
whatis -r 8-16
whatis -m pid_namespace
whatis -r 256-512 -m task_struct
""".splitlines()

ALONE = {
    "fuser": "crash 8.0.2 died in it (segmentation fault)",
    "exit": "leaves the session: tests/shell/test_session.py",
    "q": "as exit",
    "help": "its own words",
    "extend": "crash loads shared objects of crash, kautopsy Python files",
    "repeat": "repeats for ever on a running kernel; on a dump, once",
    "wr": "crash writes to running kernels only; kautopsy lays an overlay over a dump",
}
"""Commands that cannot be compared, and why."""
