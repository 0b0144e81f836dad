"""Literals of which every line that names a crash holds one: what the fast scan looks for.

A line without any costs a fraction of a nanosecond a byte; only where one is found are lines taken
apart; the lines of ``tests/oops/heads.txt`` hold the families to this list.
"""

from __future__ import annotations

from kautopsy.model.lazy import lazy_pattern

LITERALS: tuple[bytes, ...] = tuple(
    text.encode()
    for text in (
        "BUG",
        "Oops",
        "WARNING:",
        "Badness at",
        "Kernel panic",
        "nable to handle",
        "Unable to execute userspace",
        "unable to execute userspace",
        "kernel tried to execute",
        "general protection fault",
        "double fault",
        "Double fault",
        "stack overflow",
        "Insufficient stack space",
        "Thread overran stack",
        "divide error",
        "divide_error",
        "Division by zero in kernel",
        "invalid opcode",
        "stack segment",
        "Unhandled fault",
        "Unhandled prefetch abort",
        "Unhandled kernel",
        "Alignment trap",
        "alignment check: 0000",
        "Internal error: ",
        "Bad mode in",
        "Kernel bug detected",
        "instruction in kernel code",
        "SError Interrupt",
        " ilc:",
        "exception: 00",
        "illegal operation: 0",
        "BRK exception",
        "[#",
        ": 0000 [",
        "illegal operation: ",
        " bus error, epc",
        "Kernel Fault: ",
        "Caught unhandled exception",
        "Caught Machine Check",
        "CFI failure",
        "Missing ENDBR",
        "Unexpected #CP",
        "control protection",
        " corruption",
        "list_add double add",
        "prev->next should be",
        "slab error",
        "Slab error",
        "memory exposure attempt",
        "memory overwrite attempt",
        "exposure attempt",
        "overwrite attempt",
        "detected buffer overflow",
        "UBSAN:",
        "INFO: task ",
        "INFO: rcu",
        "INFO: Possible timer",
        "INFO: possible",
        "inconsistent lock state",
        "INFO: suspicious",
        "INFO: trying to register",
        "INFO: Allocated in",
        "INFO: Freed in",
        "INFO:\n",
        "INFO: \n",
        "INFO:\r",
        "-unsafe lock order detecte",
        "nvalid wait context",
        "bad unlock balance detected",
        "held lock freed",
        "still has locks held",
        "lock held when returning to user space",
        "lock held at task exit",
        "ested lock was not taken",
        "scheduling with",
        "scheduling while",
        "RCU detected CPU",
        "hard LOCKUP",
        "Hard LOCKUP",
        "NMI Watchdog detected",
        "non-responsive CSD lock",
        "unregister_netdevice: waiting",
        ": nobody cared",
        "RTNL: assertion failed",
        "handler type mismatch",
        "Flags mismatch irq",
        "NETDEV WATCHDOG",
        "softdog: Initiating",
        "rust_kernel: panicked",
        "new suspected memory leaks",
        "unreferenced object",
        "Bad page state",
        "Eeek! page_mapcount",
        "slab: double free",
        "file count is 0",
        "file count is zero",
        "Busy inodes after unmount",
        "Machine Check",
        "Machine check",
        "machine check (Severe)",
        "Hardware error from APEI",
        "event severity:",
        "HARDWARE ERROR",
        "NMI received",
        "NMI: ",
        "Trigger a crash",
        "trigger a crash",
        "ysRq : Crash",
        "ysrq: Crash",
        "ysRq: Crash",
        "ysrq : Crash",
        "context switch",
        "trusty: panic",
        "PANIC at ",
        "PANIC: ",
        "SPLError: ",
        "LustreError: ",
        "Panic on CPU ",
        "NON-RESUMABLE ERROR",
        "BERT: Error records",
        # a boot that nobody asked for: firmware, boot loaders, decompressors
        "SeaBIOS (version ",
        "U-Boot 2",
        "U-Boot SPL 2",
        "NOTICE:  BL",
        "OpenSBI v",
        "BdsDxe: ",
        "UEFI firmware (version ",
        "American Megatrends",
        "GNU GRUB ",
        "Welcome to GRUB!",
        "EFI stub: ",
        "ooting the kernel.",
        # what only the rest of a report holds: its head may be lost
        "end trace",
        "odules linked in",
        "EIP is at ",
        "panic+0x",
        "oops_end+0x",
        "die+0x",
        "IP: 0010:",
        "IP: 0060:",
        "PC is at",
        "pc : ",
        "NIP [",
        "epc ",
        " Comm: ",
        ", comm: ",
        "Krnl PSW",
        "in_atomic(): ",
        "page dumped because",
        " at addr ",
        "other info that might help us debug",
    )
)

CONTINUING: tuple[bytes, ...] = (
    b"+0x",
    b"Call Trace",
    b"Call trace",
    b"] [<",
    b"RIP: ",
)
"""Literals that keep a report going, but begin none."""

NOT_CRASHES = lazy_pattern(
    r"ODEBUG: (?!.*lib/)|\w_?DEBUG:|DEBUG: "
    r"|INFO: lockdep is turned off|INFO: NMI handler|took too long"
    # user space: traps.c logs `traps: php-fpm[28635] general protection ip:... error:0 in libc.so`
    r"|traps: .{1,80} (?:general protection|trap )|general protection (?:fault )?(?:ip:|rip:)"
    r"|segfault at|\berror:[0-9a-f]+ in "
    r"|Out of memory: (?:Kill|Killed) process|invoked oom-killer"
    r"|panic[= ](?:\d|on_)|panic_timeout|kernel\.panic|Command line:"
    r"|user-mode|unhandled (?:signal|level|page fault)|potentially unexpected fatal signal"
    r"|WARNING: (?:The mand|the mand|/etc/ssh/moduli|workqueue cpumask|lockdep|You are running"
    r"|Unlabelled)"
    r"|kasan: bad access detected"
    r"|KCSAN: (?:enabled|strict)|kfence: initialized|UBSAN: (?:enabled|kselftest)"
    r"|hogged CPU for|(?:BIOS|FW|[Ff]irmware) BUG"
    r"|no syscalls can create resource|is not present in /proc/kallsyms"
    # the kernel repeats what it was given: audit's fields, names of devices, options, addresses
    r"|\baudit(?:: type=\d|\(\d)|\b(?:Product|Manufacturer|SerialNumber): |^input: .+ as /"
    r"|mounted filesystem .*Opts: |problem connecting socket|Unknown parameter '"
    r"|xlog_status: |[A-Z]_INFO:"
)
"""Lines that look like a crash and are none."""

NOT_CRASHES_WORDS: tuple[str, ...] = (
    "DEBUG:",
    "INFO: lockdep is turned off",
    "INFO: NMI handler",
    "took too long",
    "traps: ",
    "general protection ",
    "segfault at",
    "error:",
    "Out of memory: Kill",
    "invoked oom-killer",
    "panic",
    "Command line:",
    "user-mode",
    "unhandled ",
    "potentially unexpected fatal signal",
    "WARNING: ",
    "kasan: bad access detected",
    "KCSAN: ",
    "kfence: initialized",
    "UBSAN: ",
    "hogged CPU for",
    " BUG",
    "no syscalls can create resource",
    "is not present in /proc/kallsyms",
    "audit",
    "Product: ",
    "Manufacturer: ",
    "SerialNumber: ",
    "input: ",
    "mounted filesystem ",
    "problem connecting socket",
    "Unknown parameter '",
    "xlog_status: ",
    "_INFO:",
)
"""Of which every line that :data:`NOT_CRASHES` means holds one."""

ORDERLY = lazy_pattern(
    r"reboot: (?:Restarting|System halted|Power)|Restarting system|Power down|System halted"
    r"|Rebooting|machine restart|[Ss]ys[Rr]q ?: (?:Resetting|Power Off)"
    r"|systemd-shutdown|Starting new kernel|kexec_core: Starting"
    # init's, on a console: systemd's, sysvinit's, busybox's
    r"|Reached target .*(?:Reboot|Shutdown|Power[ -]?Off|Halt)|[Ss]ystem is going down"
    r"|Requesting system (?:reboot|poweroff|halt)"
    # firmware speaks when it wakes up, too
    r"|PM: suspend entry|PM: Preparing system for|PM: hibernation"
)
"""Said on the way down: what comes then is a new boot, and nothing unexpected."""
