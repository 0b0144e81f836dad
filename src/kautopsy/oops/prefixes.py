"""What stands before a kernel message, one small pattern per form.

The kernel itself writes ``<level>[time][caller] `` (kernel/printk/printk.c, ``print_syslog``,
``print_time``, ``print_caller``); consoles, syslog daemons, the journal and people put more before
it. Forms are tried in the order of :data:`FORMS`, once more where logs were relayed; mail quoting
nests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import ascii_letters, digits

import msgspec

from kautopsy.model.lazy import lazy_pattern
from kautopsy.oops.frames import frame_alone
from kautopsy.oops.lines import Line


@dataclass(frozen=True)
class Form:
    """One thing that stands before a message.

    ``pattern`` matches at the start of what is left of the line; its named groups are ``time``,
    ``caller``, ``stamp`` and ``host`` (also ``sender``, ``address``) of
    :class:`~kautopsy.oops.lines.Line`. ``begins`` holds the ASCII characters it can begin with.
    """

    name: str
    begins: frozenset[str]
    pattern: re.Pattern[str]


_MONTH = r"[^\W\d_]{3,5}\.?"  # of any locale: `fév`
_CLOCK = r"\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?"
_HOST = r"[\w.:@-]{1,253}"

# Vendors' kernels say on which CPU and as which task: Samsung's, MediaTek's, Motorola's, Huawei's.
_VENDOR = (
    r" ?\[pid:\d{1,7},cpu\d{1,3},[^\]\n]{1,24}\](?: |$)|"
    r" {0,2}\[\d: {0,20}[^\]\n]{1,24}: *\d{1,7}\](?: |$)"
    r"| ?\(\d\)\[\d{1,7}:[^\]\n]{1,24}\]|c\d +\d{1,7} "
)

FORMS: tuple[Form, ...] = tuple(
    Form(name, frozenset(begins), lazy_pattern(pattern))
    for name, begins, pattern in (
        (
            "indentation of a pasted syslog",
            " \t",
            rf"[ \t]{{1,20}}(?={_MONTH} +\d{{1,2}} {_CLOCK} )",
        ),
        ("mail quoting", "> \t", r"[ \t]?(?:>[ \t]?){1,10}(?=\S|[ \t])"),
        (
            # 2017-04-08 03:34:51 and 2017-04-08T03:34:51.123456+02:00, in brackets or not
            "ISO stamp",
            "[" + digits,
            r"\[?(?P<stamp>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
            r"(?:Z|[+-]\d\d:?\d\d)?)\]?[ \t]+",
        ),
        ("American stamp", digits, rf"(?P<stamp>\d\d/\d\d/\d{{4}} {_CLOCK}) "),
        # busybox's and OpenWrt's logread: Tue Jan 10 12:24:53 2023 kern.warn kernel:
        (
            "logread stamp",
            ascii_letters,
            rf"(?P<stamp>{_MONTH} {_MONTH} +\d{{1,2}} {_CLOCK} \d{{4}}) (?=\w+\.\w+ )",
        ),
        # Android's `logcat -b kernel`, which takes a message's first word for a tag
        (
            "logcat",
            digits,
            r"(?P<stamp>\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) +\d+ +\d+ [VDIWEF] (?P<kernel>) *:? ?",
        ),
        ("syslog stamp, year first", digits, rf"(?P<stamp>\d{{4}} {_MONTH} +\d{{1,2}} {_CLOCK}) "),
        ("syslog stamp", ascii_letters, rf"(?P<stamp>{_MONTH} +\d{{1,2}} (?:\d{{4}} )?{_CLOCK}) "),
        ("clock only", "[" + digits, r"\[?(?P<stamp>\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)\]?:?[ \t]+"),
        ("facility and level", "kuds", r"(?:kern|user|daemon|syslog)\.\w{3,7} "),
        ("dmesg -x", "kuds", r"(?:kern|user|daemon|syslog) *: *\w+ *: "),
        (
            "host and kernel tag",
            " .:@-_" + ascii_letters + digits,
            # rsyslog's templates may put facility and level between the two
            rf" ?(?:(?P<host>{_HOST}) )?(?:\w{{3,8}}\.\w{{3,7}} )?"
            r"(?P<kernel>kernel|klogd|vmunix)(?:\[\d+\])?:(?: (?:: )?|$)"
            rf"|(?P<sender>{_HOST}) (?=<\d+>|\[ *\d+\.\d|{_MONTH} +\d{{1,2}} {_CLOCK} )"
            # netconsole sends the rest of a line in datagrams of their own, under the sender's name
            r"|(?P<address>\d{1,3}(?:\.\d{1,3}){3}) ",
        ),
        # what the console showed when the kernel wrote into it: `syzkaller login: [   23.8`
        (
            "login prompt",
            " .@:~/_-" + ascii_letters + digits,
            r"[\w.@:~/-]{0,64} ?(?:login|[Pp]assword): ?(?=\[ *\d|<\d)",
        ),
        (
            "shell prompt",
            "[.@:~/_-" + ascii_letters + digits,
            r"(?:\[[^\]\n]{1,60}\]|[\w.@:~/-]{1,64})[#$] (?=\[ *\d+\.\d)",
        ),
        (
            "dropped messages",
            "*",
            r"\*\* (?:\d+ printk messages? dropped|replaying previous printk message) \*\* ?",
        ),
        # /dev/kmsg and netconsole's extended form: prefix,sequence,microseconds,flags[,caller=T1];
        (
            "extended form",
            digits,
            r"\d{1,4},\d+,(?P<micros>\d{1,16}),[-+c](?:,caller=(?P<caller>[TC]\d+))?[^;\n]{0,100};",
        ),
        ("level", "<", r"<[0-9a-f]{1,3}>(?=[\[ \tA-Za-z\d(<-]|$)"),
        (
            "printk time",
            "[",
            # behind it, in the brackets, `dmesg --show-delta`'s
            r"\[ {0,12}(?P<time>\d{1,10}\.\d{3,9})(?:,\d+)?(?: <[ \d.]{1,16}>)?\](?:@\d+)?",
        ),
        # dmesg -H: when a minute begins, and what passed since the line before
        ("dmesg -H", "[", rf"\[(?:{_MONTH}\d{{1,2}} \d\d:\d\d| {{0,6}}\+\d{{1,6}}\.\d{{6}})\]"),
        (
            "dmesg -T",
            "[",
            # conserver stamps like this too, before what the kernel does
            rf"\[(?P<stamp>{_MONTH} +{_MONTH} +\d{{1,2}} {_CLOCK} \d{{4}})\](?: (?=[\[<]))?",
        ),
        ("caller", " [", r" ?\[ *(?P<caller>[TC]\d{1,8})\]"),
        ("level after time", " <", r" ?<\d>(?= |\[)"),
        ("CPU and task", " [(c", _VENDOR),
    )
)

# A line whose first character cannot begin any form but the kernel's own goes straight to it.
_FAST = lazy_pattern(
    r"(?:<\d{1,3}>)?\[ {0,12}(?P<time>\d{1,10}\.\d{6})\](?:\[ *(?P<caller>[TC]\d{1,8})\])?(?: |$)"
)
_NO_PREFIX = lazy_pattern(
    r"[ \t](?![ \t]{0,20}(?:>|[^\W\d_]{3,5}\.? +\d{1,2} \d{1,2}:\d\d:))"
    r"|[\[(<]<?[0-9a-f]{8}|\?|={5}|-{5}|RIP|Call|Code|CPU|Modules|R\d\d:|[A-Z]+:"
)
_BY_VENDOR = lazy_pattern(_VENDOR)
_VENDORS_BEGIN = frozenset(" [(c")
_STAMP_BEGINS = frozenset("<[")
_RELAYS = 3
"""Times that a line is looked at for prefixes: the kernel's, a daemon's, and a relay's before."""
_LONGEST_TAG = 120
_TIME_INSIDE = lazy_pattern(r"\[ {0,5}\d{1,8}\.\d{6}\](?:\[ *[TC]\d{1,8}\])? ")
_ANSI = lazy_pattern(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_]|\[COLOR=[^\]]{1,20}\]|\[/COLOR\]")
_ENTITIES = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "#39": "'", "nbsp": " "}
_ENTITY = lazy_pattern(rf"&({'|'.join(_ENTITIES)});")
_KERNEL_TAG = lazy_pattern(r"(?:kernel|klogd|vmunix)(?:\[\d+\])?: |\[ *\d+\.\d{6}\]")


def clean(raw: str, number: int) -> list[Line]:
    """``raw`` (one line of a file) as one line, or several where messages ran into each other."""
    raw = raw.rstrip("\r\n\t \0")
    if "\x1b" in raw or "COLOR" in raw:
        raw = _ANSI.sub("", raw)
    if "&" in raw:  # copied out of a page's source
        raw = _ENTITY.sub(lambda entity: _ENTITIES[entity[1]], raw)
    if "\r" in raw:
        raw = raw.replace("\r", "")
    line = _clean(raw, number)
    if "] " in line.text:
        inside = _TIME_INSIDE.search(line.text)
        if inside is not None and inside.start() > 0:
            head = msgspec.structs.replace(
                line, text=line.text[: inside.start()].rstrip(), torn=True
            )
            return [head, *clean(line.text[inside.start() :], number)]
    if "#012" in line.text:  # rsyslog's for a newline in a message
        parts = line.text.split("#012")
        return [msgspec.structs.replace(line, text=part) for part in parts]
    return [line]


def _clean(raw: str, number: int) -> Line:
    fast = _FAST.match(raw)
    if fast is not None:
        text = raw[fast.end() :]
        inner = None
        if text[:1] in _STAMP_BEGINS:
            inner = _FAST.match(text)  # stamped twice: a console that stamps as the kernel does
        if inner is None:
            if text[:1] in _VENDORS_BEGIN:
                vendor = _BY_VENDOR.match(text)
                text = text[vendor.end() :] if vendor is not None else text
            # `journalctl -o short-monotonic` puts its tag behind the time
            if " kernel:" not in text[:_LONGEST_TAG]:
                time, caller = fast.groups()
                return Line(number, text, float(time), caller, by_kernel=True)
        else:
            time, caller = inner.groups()
            return Line(number, text[inner.end() :], float(time), caller, by_kernel=True)
    if not raw or _NO_PREFIX.match(raw) or frame_alone(raw) is not None:
        return Line(number, raw)
    seconds: float | None = None
    caller = None
    stamp: str | None = None
    host: str | None = None
    tagged = False
    position = 0
    for _ in range(_RELAYS):
        before = position
        first = raw[position : position + 1]
        for form in FORMS:
            if first not in form.begins and first.isascii():
                continue
            match = form.pattern.match(raw, position)
            if match is None:
                continue
            position = match.end()
            first = raw[position : position + 1]
            groups = match.groupdict()
            if groups.get("time"):
                seconds = float(groups["time"])
            if groups.get("micros"):
                seconds = int(groups["micros"]) / 1e6
            caller = groups.get("caller") or caller
            stamp = groups.get("stamp") or stamp
            # of a relayed line, the last is who said it first
            host = groups.get("host") or groups.get("sender") or groups.get("address") or host
            tagged |= groups.get("kernel") is not None
        if position == before:
            break
    text = raw[position:]
    if position and raw[position - 1] == "]" and text.startswith(" "):
        text = text[1:]
    return Line(
        number, text, seconds, caller, stamp, host=host, by_kernel=tagged or seconds is not None
    )
