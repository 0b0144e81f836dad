"""Readers over a dead kernel: typed tables of tasks, CPUs, locks, memory, devices, log.

Each module is named as the kernel names its subsystem and holds generators of frozen rows declared
with :func:`~kautopsy.kernel.table.table`. They need types and symbols only (BTF and kallsyms out
of the dump will do) and put :class:`~kautopsy.model.base.Unreadable` in the place of what a dump
lacks.
"""
