"""What stands before a message: every form, with the message that is left."""

import pytest

from kautopsy.oops.prefixes import clean


@pytest.mark.parametrize(
    ("raw", "text", "time", "caller", "stamp"),
    [
        ("[ 2713.153531] Call Trace:", "Call Trace:", 2713.153531, None, None),
        ("[29201245.714153] Oops", "Oops", 29201245.714153, None, None),
        ("[   35.047479][ T5851] BUG: x", "BUG: x", 35.047479, "T5851", None),
        ("[  990.309025][    C0] rcu: y", "rcu: y", 990.309025, "C0", None),
        ("<4>[   12.000500] Call Trace:", "Call Trace:", 12.0005, None, None),
        ("<4> [<f88e11c7>] f+0x7d/0xbc", " [<f88e11c7>] f+0x7d/0xbc", None, None, None),
        (
            "2017-04-08 03:34:51    [29201245.781675] BUG: y",
            "BUG: y",
            29201245.781675,
            None,
            "2017-04-08 03:34:51",
        ),
        (
            "2016-06-01 14:11:13\t[35060910.024741] INFO: z",
            "INFO: z",
            35060910.024741,
            None,
            "2016-06-01 14:11:13",
        ),
        (
            "2017-01-18 10:12:31\tOops: 0002 [#1] SMP ",
            "Oops: 0002 [#1] SMP",
            None,
            None,
            "2017-01-18 10:12:31",
        ),
        ("Jan 12 19:08:41 host kernel: BUG: a", "BUG: a", None, None, "Jan 12 19:08:41"),
        (
            "Aug  7 21:18:37 gw.x.com kernel: : [2786215.132782] Uhhuh.",
            "Uhhuh.",
            2786215.132782,
            None,
            "Aug  7 21:18:37",
        ),
        (
            "2018 Aug  7 21:18:37 srv.x.com [2786215.132782] Uhhuh.",
            "Uhhuh.",
            2786215.132782,
            None,
            "2018 Aug  7 21:18:37",
        ),
        (
            "Tue Jan 10 12:24:53 2023 kern.warn kernel: [92612.659702]  <IRQ>",
            " <IRQ>",
            92612.659702,
            None,
            "Tue Jan 10 12:24:53 2023",
        ),
        (
            "fév 05 10:07:39 framework kernel:  commit_streams+0x283/0x470 [gpu]",
            " commit_streams+0x283/0x470 [gpu]",
            None,
            None,
            "fév 05 10:07:39",
        ),
        (
            "[Tue Jul 21 07:02:43 2020]  foo+0xc3/0x140",
            " foo+0xc3/0x140",
            None,
            None,
            "Tue Jul 21 07:02:43 2020",
        ),
        (
            "05/09/2024 11:14:19 RIP: 0010:f+0x10f/0x560",
            "RIP: 0010:f+0x10f/0x560",
            None,
            None,
            "05/09/2024 11:14:19",
        ),
        ("lab login: [   23.820987] =======", "=======", 23.820987, None, None),
        (
            "** 93 printk messages dropped ** [  322.962139] BUG: c",
            "BUG: c",
            322.962139,
            None,
            None,
        ),
        ("kern  :warn  : [   12.345678] WARNING: d", "WARNING: d", 12.345678, None, None),
        ("6,339,5140900,-;usb 1-1: new", "usb 1-1: new", 5.1409, None, None),
        ("4,340,5140901,-,caller=T12;RIP: 0010:f", "RIP: 0010:f", 5.140901, "T12", None),
        ("> > [    1.500000] Call Trace:", "Call Trace:", 1.5, None, None),
        ("\x1b[31m[    1.500000] Oops\x1b[0m", "Oops", 1.5, None, None),
        ("[    1.500000] Oops\r", "Oops", 1.5, None, None),
        (" [<ffffffff81000000>] f+0x1/0x2", " [<ffffffff81000000>] f+0x1/0x2", None, None, None),
        ("", "", None, None, None),
    ],
)
def test_form(
    raw: str, text: str, time: float | None, caller: str | None, stamp: str | None
) -> None:
    (line,) = clean(raw, 7)
    assert (line.text, line.time, line.caller, line.stamp) == (text, time, caller, stamp)
    assert line.number == 7


def test_a_line_that_another_ran_into_is_two() -> None:
    torn, other = (
        clean("[   45.8] x", 1)
        + clean("[   45.865990]  ffffffff81df7854[   45.871305] tc: bad kind", 1)[1:]
    )
    del torn
    assert (other.text, other.time) == ("tc: bad kind", 45.871305)
    first = clean("[   45.865990]  ffffffff81df7854[   45.871305] tc: bad kind", 1)[0]
    assert first.torn
    assert first.text == " ffffffff81df7854"
