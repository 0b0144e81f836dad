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
list_head {task}
task_struct.pid {task}
alias
alias kp kmem -p
ascii 62696e2f7368
ascii
ascii 0x41424344
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
bt -o {pid}
bt -sd {pid}
bt -fl {pid}
bt -fx {pid}
btop 512a000
dev
dev -i
dev -p
dev -d
dev -D
dev -V
dis vfs_write
dis vfs_write 5
dis -r {return}
dis -f {return} 4
dis -x vfs_write 8
dis -l vfs_write 6
dis {return}
dis -b 3 {return}
dis -u vfs_write 2
dis -d vfs_write 6
dis -rx {return}
dis -rl {return}
dis -s vfs_write
dis (vfs_write+4) 2
eval 128m
eval -b 0x80a
eval 0x1ffff + 7
eval -l 0x123456789abcdef
eval -bl 10
eval (1 << 32)
eval 1g * 4
eval 10 % 3
files
files {pid}
files -c {pid}
files -d {dentry}
files -p {inode}
files -R /dev/null {pid}
files {task}
files -R {inode} {pid}
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
foreach {pid} task -R pid
foreach UN ps
foreach RU bt
foreach ID ps
foreach 1 vm -p
foreach gleader task -R comm
foreach user vm -m
foreach user files -R /dev/null
foreach user sig -g
foreach user ps -t
foreach sleep bt -f
foreach bt -R schedule
foreach kernel bt -s
foreach '^kworker' ps
foreach set
fuser {file}
fuser {inode}
gdb print init_task.pid
gdb ptype struct list_head
gdb whatis init_task
ipcs
ipcs -s
ipcs -m
ipcs -q
ipcs -M
ipcs -n {pid}
irq
irq 0
irq -u
irq -d
irq -b
irq -a
irq -s
irq -s -c 0
irq 1 4
irq -s -c a
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
kmem -c
kmem -C
kmem -r
kmem -I kmalloc-64,dentry -s
kmem -I kmalloc-64 -s kmalloc-64
kmem -m flags {page}
kmem -S=0 kmalloc-64
kmem -s -I task_struct task_struct
kmem {physical}
kmem {vmalloced}
list modules
list -H modules
list -H modules -o module.list
list -H modules -s module.name,state -l module.list
list -x -H modules -s module.state -l module.list
list task_struct.tasks -s task_struct.pid,comm -h {task}
list -o task_struct.tasks -h {task}
list -r task_struct.tasks -h {task}
list -e {second} -H modules -o module.list
list -B -H modules -o module.list
list task_struct.tasks -S task_struct.pid -h {task}
list -h {task} -O task_struct.tasks task_struct.tasks
list -d -s task_struct.pid task_struct.tasks -h {task}
list -o {tasksoffset} -h {task}
list task_struct.children -h {task}
log
log -t
log -m
log -T
log -c
log -d
log -s
log -a
log -tm
log -dm
mach
mach -m
mach -c
mach -cx
mach -cd
mach -o
mod
mod -t
mod -g
mod -r
mod -R
mod -o
mod -D
mod -d loop
mount
mount -n {pid}
mount -f
mount -i
mount /proc
mount proc
mount {superblock}
net
net -a
net -s {socketer}
net -S {socketer}
net -n {pid}
net -N 1041236234
net -s -x {socketer}
net -S -d {socketer}
net -n
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
p -d jiffies
p -u init_task.pid
p -x init_task.tasks
p init_task.mm->pgd
p 1+2*3
p sizeof(int)
p init_task.comm[0]
p nr_cpu_ids
p runqueues:0-1
p/x 255
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
ps -y 0,2
ps -m {pid}
ps -l -C 0
ps -a -G {pid}
pte 80000000bffa6067
pte {pte}
ptob 512a
ptov 56e000
ptov {percpu}:0
ptov {percpu}:a
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
rd -u {text} 2
rd -f 0 4
rd -R {task} 4
rd -sx {task} 2
rd -8 -a linux_banner 5
rd -64d {task} 2
rd jiffies
rd -S {task} 4
rd -32 -D {task} 2
rd init_task+16 2
rd {task} -e {taskend}
runq
runq -t
runq -m
runq -g
runq -c 0
runq -T
runq -d
search -k {needle}
search -V {needle}
search -p -s {physical} -l 4096 {needle}
search -s {task} -l 4096 {needle}
search -t {task}
search -T {task}
search -m ffff -s {task} -l 4096 {needle}
search -u {userword}
search -c -s linux_banner -l 64 Debian
search -K {needle}
search -k init_task
search -K (init_task+8)
search -w {low32} -s {task} -l 4096
search -h 2 -s {task} -l 256
search -x 2 {needle} -s {task} -l 4096
search -w -x 2 {low32} -s {task} -l 4096
search -p {needle}
search -p -m ffff0000 -w {low32} -s {physical} -l 4096
search -c -K "Linux version" "BOOT_IMAGE"
search -s {task} -e {taskend} {needle} init_task
search -T init_task
search -u -s {text} -l 4096 464c457f
search -k {needle} {mm}
set
set {pid}
set -c 0
set -p
sig {pid}
sig -l
sig -s {sigset}
sig -g {pid}
sig {task}
sig
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
struct task_struct -c 1 {task}
struct list_head -f {task}
struct list_head -d {task}
struct task_struct.pid,comm {task} -o
struct task_struct.comm,pid -l task_struct.tasks {tasknode}
struct -u list_head {text}
struct rq.nr_running,cpu runqueues:0
struct task_struct.thread.sp {task}
struct task_struct.se.run_node {task}
struct -o task_struct.se
struct -o task_struct.se.vruntime
struct -xo list_head
struct task_struct.comm,tasks.next {task}
struct task_struct.mm -p {task}
struct page.flags {page}
struct task_struct.cpus_mask {task}
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
sym vfs_wri
sym -p vfs_write
sym -q nonesuch
sym vfs_write+4
sym -m nonesuch
sys
sys -c
sys -c sys_read
sys -t
sys -i
sys config
sys -c 3
sys -c write
task -R comm,pid {pid}
task {pid}
task -x -R flags {pid}
task
task -d -R pid {pid}
task -R se.vruntime {pid}
task -R comm,nonesuch {pid}
timer
timer -r
timer -C 0
timer -C a
timer -C 0,1
tree -t rbtree {rbroot}
tree -t xarray {xarray}
tree -t maple {maple}
tree -t rbtree -s hrtimer.function -o 0 {rbroot}
tree -t rbtree -l {rbroot}
tree -t rbtree -p {rbroot}
tree -t rbtree -o hrtimer.node {rbroot}
tree -t rbtree -s hrtimer.function -o hrtimer.node {rbroot}
tree -t maple -v {maple}
tree -t maple -p {maple}
tree -t maple -s vm_area_struct.vm_start,vm_end {maple}
tree -t xarray -p {xarray}
tree -t xarray -s pid.level {xarray}
tree -t xarray -r xarray.xa_head {xarray}
tree -t radix {xarray}
tree -t xarray -N {xarrayhead}
union sigval
union -o bpf_attr
union sigval {task}
vm
vm {pid}
vm -p {pid}
vm -P {vma} {pid}
vm -M {mm} {pid}
vm -m {pid}
vm -v {pid}
vm -f 8000075
vm -R busybox {pid}
vm -x -m {pid}
vm -d -m {pid}
vm -R {vma} {pid}
vm {task}
vtop {task}
vtop jiffies
vtop -c {pid} {text}
vtop -u {text}
vtop -k {task}
vtop {physical}
vtop -c {task} {text}
waitq {waitq}
waitq {waitqaddress}
waitq signal_struct.wait_chldexit {signal}
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
whatis task_struct.pid
whatis struct list_head
whatis nonesuch
whatis -r 64 -m list_head
whatis -o task_struct.pid
whatis schedule_timeout
""".splitlines()

ALONE = {
    "exit": "leaves the session: tests/shell/test_session.py",
    "q": "as exit",
    "help": "its own words",
    "extend": "crash loads shared objects of crash, kautopsy Python files",
    "repeat": "repeats for ever on a running kernel; on a dump, once",
    "wr": "crash writes to running kernels only; kautopsy lays an overlay over a dump",
}
"""Commands that cannot be compared, and why."""
