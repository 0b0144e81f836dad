"""One module per family of reports; the order of import is the order of matching."""

from kautopsy.oops.families import (  # noqa: I001
    panics,
    sanitizers,
    hangs,
    locks,
    bugs,
    faults,
    hardware,
    memory,
    outside,
    torn,
)
from kautopsy.oops.families.base import FAMILIES, Family, Name

__all__ = [
    "FAMILIES",
    "Family",
    "Name",
    "bugs",
    "faults",
    "hangs",
    "hardware",
    "locks",
    "memory",
    "outside",
    "panics",
    "sanitizers",
    "torn",
]
