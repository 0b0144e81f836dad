"""What kdump is called, reads and writes on each family of distributions: a page a family."""

from __future__ import annotations

from kautopsy.arming.distribution.debian import Debian
from kautopsy.arming.distribution.family import Family
from kautopsy.arming.distribution.redhat import RedHat
from kautopsy.arming.distribution.suse import Suse
from kautopsy.model.host import OsRelease

FAMILIES: tuple[Family, ...] = (RedHat(), Debian(), Suse())
UNKNOWN = Family()


def family_of(os: OsRelease | None) -> Family:
    """The page of a distribution or of one it says it is like; one without names for others."""
    if os is None:
        return UNKNOWN
    for name in (os.id, *os.like):
        for family in FAMILIES:
            if name in family.ids or (name and name.split("-")[0] in family.ids):
                return family
    return UNKNOWN
