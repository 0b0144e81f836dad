"""What BMCs and their clients say, and what it means: pyghmi's words and ipmitool's."""

from __future__ import annotations

import re

from kautopsy.model.errors import KautopsyError, RefusedError, UnreachableError, UnreadableError

_MEANINGS: tuple[tuple[str, str, type[KautopsyError], str, str], ...] = (
    # (what is said, slug, class, what it means, hint)
    (
        r"Incorrect password|HMAC is invalid|Invalid integrity check value|RAKP 2 HMAC"
        r"|password .*(?:invalid|incorrect)",
        "bmc-password",
        UnreachableError,
        "the BMC does not know this password",
        "look what the inventory's password leads to; IPMI passwords are cut at 16 or 20 bytes",
    ),
    (
        r"[Uu]nauthorized name|Invalid name length",
        "bmc-user",
        UnreachableError,
        "the BMC does not know this user",
        "a user of IPMI's own is needed, enabled for LAN (ipmitool user list 1)",
    ),
    (
        r"[Ii]nsufficient privilege|0xd4|Unauthorized role|[Ii]nvalid role"
        r"|privilege level .*(?:not|exceed)|[Nn]o privilege"
        r"|[Uu]nable to set session privilege|Requested privilege",
        "bmc-privilege",
        RefusedError,
        "this user may not do it: a diagnostic interrupt needs the privilege operator",
        'give the user operator or administrator, or the inventory\'s privilege = "operator"',
    ),
    (
        r"[Cc]ipher suite|[Ii]nvalid (?:authentication|integrity|confidentiality) algorithm"
        r"|no matching|[Ii]llegal or unrecognized parameter",
        "bmc-cipher",
        UnreachableError,
        "the BMC refuses this cipher suite",
        "name one that it has: cipher = 3 or 17 in the inventory (ipmitool channel getciphers)",
    ),
    (
        r"SOL (?:payload )?(?:is )?disabled|SOL payload disabled",
        "no-console",
        UnreadableError,
        "serial over LAN is switched off",
        "ipmitool sol set enabled true",
    ),
    (
        r"active for another client|SOL payload already active|already active on another session"
        r"|Maximum SOL session",
        "console-in-use",
        UnreadableError,
        "somebody else watches this console",
        "end the other session: ipmitool sol deactivate",
    ),
    (
        r"[Ii]nvalid (?:command|data field)|[Uu]nrecognized command|[Cc]ommand not supported"
        r"|not supported in present state|0xc1\b|0xcc\b|0xd5\b",
        "bmc-cannot",
        RefusedError,
        "the BMC does not know the diagnostic interrupt",
        "try --via redfish, or the button of its web page",
    ),
    (
        r"insufficient resources|session slots|out of resources",
        "bmc-full",
        UnreachableError,
        "all of the BMC's sessions are taken",
        "wait until old ones expire, or restart the BMC: ipmitool mc reset cold",
    ),
    (
        r"[Tt]imeout|timed out|Unable to establish|no response|Get Auth Capabilities"
        r"|never connected|[Cc]onnection lost|Session no longer connected|session broke",
        "bmc-silent",
        UnreachableError,
        "the BMC does not answer",
        "its network may be behind a jump host: bmc.jump in the inventory",
    ),
    (
        r"Address lookup|[Nn]ame or service not known|No address",
        "unknown-host",
        UnreachableError,
        "the BMC's name cannot be resolved",
        "write its address",
    ),
)
# What ipmitool -v says of every session, and means nothing.
_CHATTER = re.compile(
    r"^(?:Loading IANA|Running Get |Invalid completion code received: Invalid command"
    r"|Discovered IPMB|Close Session command failed|Get (?:Device|HPM|PICMG)).*\n?",
    re.M,
)
# IPMI 2.0, table 5-2.
_CODES = {
    0xC1: "unrecognized command",
    0xCC: "invalid data field",
    0xD4: "insufficient privilege",
    0xD5: "not supported in present state",
    0xFFFF: "timeout",
}


def explain(words: str, bmc: str, *, code: int = 0) -> KautopsyError:
    """The error that a BMC's or client's words stand for.

    :param code: the completion code, where it is known apart from the words
    """
    said = " ".join(_CHATTER.sub("", words).split())
    looked = f"{said} {_CODES.get(code, '')}"
    # The privilege's own code comes with words that are everybody's.
    order = sorted(_MEANINGS, key=lambda m: m[1] != "bmc-privilege") if code == 0xD4 else _MEANINGS
    for pattern, slug, kind, what, hint in order:
        if re.search(pattern, looked):
            return kind(f"{what} ({said[:200]})", thing=bmc, hint=hint, slug=slug)
    return UnreachableError(said[:300] or "failed without a word", thing=bmc, slug="bmc")
