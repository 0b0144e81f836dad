"""Write the table of global variables' types that BTF lacks: symbols/data/globals.tsv.

    python scripts/globals_table.py RELEASE=VMLINUX...

BTF describes types, functions and per-CPU variables, but no other variable. The names worth a line
are those that drgn, its C library and kautopsy look up: every string in their Python files and
in drgn's extension module that is a variable's name in a kernel, less those that are mere words.
Their types come out of the DWARF of the kernels given, one column each, so that a version's own
form can win and a reviewer sees what changed.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path

import drgn

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "src/kautopsy/symbols/data/globals.tsv"

# Names without an underscore are ordinary words more often than variables, but for these.
PLAIN = {
    "avenrun", "chrdevs", "console", "hstates", "jiffies", "memblock", "modules", "runqueues",
    "prb", "vermagic", "vmemmap", "workqueues",
}  # fmt: skip
WORDS = {"bin_attrs", "cpu_bit_bitmap", "mod_name", "module_type", "task_struct_type"}
# What libdrgn builds from parts, and what people ask a dump for.
MORE = {
    "__bss_start", "cgroup_roots", "crash_notes", "high_memory", "idle_threads", "init_cred",
    "init_css_set", "init_nsproxy", "init_top_pgt", "init_user_ns", "kmalloc_caches",
    "linux_banner", "linux_proc_banner", "mce_banks", "nf_hooks", "panic_on_oops", "panic_timeout",
    "pcpu_base_addr", "phys_base", "rcu_state", "saved_command_line", "super_blocks",
    "sysctl_hung_task_panic",
    "sysctl_hung_task_timeout_secs", "sysctl_panic_on_oom", "system_state", "system_wq",
    "totalcma_pages", "totalreserve_pages", "vmalloc_base", "vmcoreinfo_data", "vmemmap_base",
    "watchdog_thresh", "wq_pod_types",
}  # fmt: skip
# Lengths that follow an enumeration, so that another configuration's is known from its BTF.
LENGTHS = {
    "node_states": "NR_NODE_STATES",
    "softirq_vec": "NR_SOFTIRQS",
    "vm_node_stat": "NR_VM_NODE_STAT_ITEMS",
    "vm_numa_event": "NR_VM_NUMA_EVENT_ITEMS",
    "vm_zone_stat": "NR_VM_ZONE_STAT_ITEMS",
}


def candidates() -> set[str]:
    """Every identifier in a string of the programs that look variables up."""
    word = re.compile(r"[A-Za-z_]\w{2,}")
    found = set(MORE)
    for folder in (Path(drgn.__file__).parent, ROOT / "src/kautopsy"):
        for path in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.update(word.findall(node.value) if "[" in node.value else ())
                    if word.fullmatch(node.value):
                        found.add(node.value)
    library = importlib.util.find_spec("_drgn")
    assert library is not None and library.origin is not None
    code = Path(library.origin).read_bytes()
    found.update(s.decode() for s in re.findall(rb"(?<=\0)[A-Za-z_]\w{2,}(?=\0)", code))
    return {name for name in found if "_" in name or name in PLAIN} - WORDS


def spell(name: str, type_: drgn.Type) -> str:
    """``type_`` as the table has it; arrays' lengths by enumerator where one gives them."""
    if type_.kind == drgn.TypeKind.STRUCT and type_.tag is None:
        members = "; ".join(f"{spell('', m.type)} {m.name}" for m in type_.members or ())
        return f"struct {{ {members}; }}"
    spelled = str(type_.type_name())
    if name in LENGTHS:
        return re.sub(r"\[\d+\]", f"[{LENGTHS[name]}]", spelled, count=1)
    return spelled


def variables(vmlinux: Path, names: set[str]) -> dict[str, str]:
    """The types of those of ``names`` that are variables here, and of one symbol only."""
    program = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    program.extra_module("vmlinux", create=True).try_file(vmlinux)
    found = {}
    for name in sorted(names):
        try:
            variable = program.variable(name)
        except LookupError:
            continue
        if len(program.symbols(name)) == 1:
            found[name] = spell(name, variable.type_)
    return found


def main() -> int:
    """Write the table."""
    kernels = dict(argument.split("=", 1) for argument in sys.argv[1:])
    if not kernels:
        print(__doc__, file=sys.stderr)
        return 2
    names = candidates()
    columns = {release: variables(Path(path), names) for release, path in kernels.items()}
    lines = [
        "# Types of the kernel's global variables, by scripts/globals_table.py from the DWARF of",
        "# the kernels in the first row. Empty: there is no such variable. =: as in the column"
        " before.",
        "\t".join(["name", *columns]),
    ]
    for name in sorted(set().union(*columns.values())):
        row, before = [name], None
        for column in columns.values():
            spelled = column.get(name, "")
            row.append("=" if spelled and spelled == before else spelled)
            before = spelled
        lines.append("\t".join(row))
    TABLE.write_text("\n".join(lines) + "\n")
    print(f"{TABLE}: {len(lines) - 3} names")
    return 0


if __name__ == "__main__":
    sys.exit(main())
