from kautopsy.shell.table import columns, rows_of


def test_a_table_is_read_back() -> None:
    text = list(
        columns(("PID", "TASK", "COMM"), [("1", "ffff8881", "init"), ("22", "ffff8882", "a b")])
    )
    assert text[0] == "PID  TASK      COMM"
    assert rows_of(text) == [
        {"pid": 1, "task": "ffff8881", "comm": "init"},
        {"pid": 22, "task": "ffff8882", "comm": "a b"},
    ]


def test_hexadecimal_stays_text() -> None:
    lines = ["      VMA           START       END     FLAGS FILE",
             "ffff8b1d03c0c370     400000     401000 8000071 /bin/busybox",
             "ffff8b1d03c0cdc0   23e6e000   23e90000 8100073"]  # fmt: skip
    rows = rows_of(lines)
    assert rows[0]["start"] == "400000"
    assert rows[1]["file"] is None


def test_what_stands_above_belongs_to_every_row() -> None:
    lines = ['PID: 216      TASK: ffff8b1d03cf8000  CPU: 1    COMMAND: "sh"',
             " FD       FILE            DENTRY           INODE       TYPE PATH",
             "  0 ffff8b1d01f7bd80 ffff8b1d01415780 ffff8b1d0121f000 CHR  /dev/null"]  # fmt: skip
    [row] = rows_of(lines)
    assert row["pid"] == 216
    assert (row["fd"], row["type"], row["path"]) == (0, "CHR", "/dev/null")


def test_unused_is_none_and_active_is_marked() -> None:
    lines = [
        " IRQ   IRQ_DESC/_DATA      IRQACTION      NAME",
        "  5   ffff8ac481156000      (unused)",
    ]
    assert rows_of(lines)[0]["irqaction"] is None
    assert rows_of(["PID PPID", "> 1 0"])[0]["active"] == 1
