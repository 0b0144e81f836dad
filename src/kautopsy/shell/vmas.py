"""Virtual memory areas on the terminal."""

from __future__ import annotations

from drgn import Object
from drgn.helpers.linux.fs import d_path

from kautopsy.kernel.reading import READ_ERRORS, text


def vma_head() -> str:
    """The head of the table."""
    return "      VMA           START       END     FLAGS FILE"


def vma_line(vma: Object) -> str:
    """One area, as crash prints it.

    :param vma: ``struct vm_area_struct *``
    """
    return (
        f"{vma.value_():016x} {int(vma.vm_start):>10x} {int(vma.vm_end):>10x} "
        f"{int(vma.vm_flags):x} {vma_file(vma)}"
    ).rstrip()


def vma_file(vma: Object) -> str:
    """The path of the mapped file, '' for none."""
    try:
        return text(d_path(vma.vm_file.f_path)) if vma.vm_file else ""
    except READ_ERRORS:
        return "(unreadable)"
