"""The manual of the shell, made from its commands: ``python -m kautopsy.shell.manual``."""

from __future__ import annotations

from kautopsy.shell.commands.drgns import COMPLETE
from kautopsy.shell.registry import Command, commands

PARTLY = {
    "dev",
    "timer",
    "files",
    "ipcs",
    "irq",
    "kmem",
    "mod",
    "net",
    "rd",
    "runq",
    "sig",
    "sys",
    "vtop",
}
_NOT_CRASH = {"py", "drgn"}

_HEAD = """\
# The shell

    kautopsy shell DUMP                       # a prompt
    kautopsy shell DUMP -c 'bt -a' -c log     # commands, then leave
    kautopsy shell DUMP -i FILE               # commands from a file, as crash -i
    kautopsy shell DUMP script.py ARG...      # Python on the dump (options stand before DUMP)
    kautopsy shell local                      # the running kernel, where it allows that
    echo bt | kautopsy shell DUMP

`kautopsy shell` is for who knows `crash`: the same 49 commands, the same options, output in the
same form, field by field ([crash-parity.md](crash-parity.md) has the comparison). It opens at once
and needs no debuginfo: names and types come out of the dump itself. With a `vmlinux` (found by
itself, or `--vmlinux FILE`) there are source lines and local variables too.

- **Lines.** `ps | grep UN`, `log > file`, `>>`, `< file`, `!cmd`, `# comment`. None of these count
  inside quotes or parentheses. A structure's name may stand alone: `task_struct.pid ffff...`.
  `alias` has crash's own (`last`, `px`, `dmesg`, ...). Long output is paged (`set scroll off`).
- **Tab** completes commands, types, members (`task_struct.com`) and symbols. History is kept in
  `~/.local/state/kautopsy/shell_history`, readable by its owner only.
- **Ctrl-C** ends a command, not the shell. What goes wrong is one line on stderr: an unknown
  command names the nearest one. With `-c`, `-i` and piped input the exit code is 1 if a command
  failed.
- **`--json`** behind a command whose output is a table gives its rows; addresses are hexadecimal
  text, as shown. **`--drgn`** shows the Python that does the same.
- **`py`** is a Python prompt, `py STATEMENT` one line: `prog`, `task`, `tables.NAME()` (see
  [tables.md](tables.md)), `findings()`, `crash("bt -a")`, and drgn's names and helpers. Scripts get
  the same names, and `sys.argv`.
- **`extend FILE.py`** adds commands of one's own (`help extend` has one).
- **What a dead kernel wrote** is escaped before it reaches the terminal.
- **A process of its own** reads the dump, forked before anything is loaded, with a limit on memory
  (`--memory-limit`) and no core dumps. It has the terminal. If a damaged dump kills it (SIGBUS,
  SIGSEGV), the process that was started says so in one line, gives the terminal back as it was and
  exits with 3. Unlike the analysis of a report it keeps the network: pipes and scripts are your
  own. `kautopsy.open()` in your own Python has none of this.
- **`wr`** on a dump is an overlay that this session sees; the file is never written. On the running
  kernel it writes through /dev/mem, if the kernel lets it.
- **`local`** is never reached by accident: a dump that cannot be opened is an error, and the prompt
  says `LIVE KERNEL` all the time. It takes root and /proc/kcore, and no debuginfo either; the
  tables are there too (`kautopsy sql local "..."`). A guest that looks at itself tests it.

`bt` begins where crash begins: at machine_kexec() on the CPU that dumped, with the exception that
led there and its registers, at the handler of the crash's NMI on the others. `dis` marks with `=>`
where CPUs stopped. `search` reads only what the dump holds. `gdb` is the part of gdb's language
that makes sense without gdb; `print`, `x`, `ptype` and `info` may stand alone.

Start to prompt and the speed of `foreach bt`, `kmem -s` and `search` are measured by
`bench/shell.py`, in one run against crash and drgn-crash.

## Commands

"own": written here. "drgn": drgn's crash mode does it, with its own `--drgn`. "both": some options
are drgn's. `help COMMAND` has all options.

| command | does | by | `--json` |
|---|---|---|---|
"""


def manual() -> str:
    """Markdown: what the shell is, one line a command."""
    rows = "\n".join(_row(one) for _name, one in sorted(commands().items()))
    return f"{_HEAD}{rows}\n"


def _row(one: Command) -> str:
    by = "drgn" if one.name in COMPLETE else "both" if one.name in PARTLY else "own"
    usage = f"`{one.name}`".replace("|", "\\|")
    summary = one.summary + (" (not crash's)" if one.name in _NOT_CRASH else "")
    return f"| {usage} | {summary} | {by} | {'yes' if one.table else ''} |"


if __name__ == "__main__":
    print(manual(), end="")
