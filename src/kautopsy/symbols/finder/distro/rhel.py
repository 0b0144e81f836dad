"""Red Hat Enterprise Linux: debug repositories, for subscribers.

"Enable debug and source repositories" of RHEL 10's manual; 7 and 6 have one debug repository for
each product instead.
"""

from __future__ import annotations

from kautopsy.symbols.finder.distro.elrelease import ElRelease
from kautopsy.symbols.finder.distro.offer import Lead, Offer


def leads(release: str, arch: str) -> tuple[Lead, ...]:
    """Commands only: Red Hat's servers ask for the subscription's certificate."""
    kernel = ElRelease.parse(release)
    if kernel is None or kernel.major < 6 or kernel.is_stream:
        return ()
    if kernel.major >= 8:
        repository = f"rhel-{kernel.major}-for-{kernel.arch}-baseos-debug-rpms"
        tool = "dnf"
    else:
        repository = f"rhel-{kernel.major}-server-debug-rpms"
        tool = "yum"
    offer = Offer(
        distribution="rhel",
        title=f"Red Hat Enterprise Linux {kernel.major}",
        packages=kernel.packages,
        commands=(
            f"sudo subscription-manager repos --enable {repository}",
            f"sudo {tool} install {kernel.debuginfo}",
        ),
        note="on a machine with a subscription to that release",
    )
    return (Lead(offer, ()),)
