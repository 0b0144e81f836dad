"""Find the debugging information of one kernel build: here, by debuginfod, in a package."""

from kautopsy.symbols.finder.local import find_local

__all__ = ["find_local"]
