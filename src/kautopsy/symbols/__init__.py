"""Where names, types and lines come from: DWARF, BTF and kallsyms out of the dump, kits."""
