"""The schemas in docs/ are those of the types, and the documents keep the promised names."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from kautopsy.model.base import Unreadable, from_json, to_json
from kautopsy.model.crash import Crash, Frame, Kind, TaskRef, Trigger
from kautopsy.model.dump import DumpFile, DumpFormat
from kautopsy.model.errors import UnreadableError
from kautopsy.model.finding import (
    Confidence,
    Culprit,
    Evidence,
    Finding,
    Severity,
    TaskRole,
    Verdict,
)
from kautopsy.model.fingerprint import Fingerprint
from kautopsy.model.report import Report, Symbols, SymbolSource, System
from kautopsy.model.schema import DOCUMENTS, file_name, name_of, schema_text

SCHEMAS = Path(__file__).parents[2] / "docs" / "schema"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_schema_file_is_that_of_the_types(document: type[msgspec.Struct]) -> None:
    assert (SCHEMAS / file_name(document)).read_text() == schema_text(document), "run `make schema`"


def full_report() -> Report:
    culprit = Culprit(function="f", module="m", file="a.c", line=3)
    return Report(
        dump=DumpFile(path="vmcore", format=DumpFormat.KDUMP, complete=True, dump_level=31),
        symbols=Symbols(source=SymbolSource.BTF, notes=("no lines",)),
        system=System(
            release="6.1",
            version="#1",
            nodename="n",
            machine="x86_64",
            cpus=2,
            memory_bytes=1 << 30,
            crash_time=1.5,
            uptime_seconds=2.5,
            load_average=(0.1, 0.2, 0.3),
            tasks=Unreadable("page excluded by makedumpfile"),
            tainted=("O",),
            cpus_online=2,
            panic="sysrq triggered crash",
        ),
        crash=Crash(
            kind=Kind.OPERATOR_SYSRQ,
            title="sysrq",
            trigger=Trigger.SYSRQ,
            task=TaskRef(pid=1, comm="sh"),
            frames=(Frame(function="panic", offset=1, size=2, address=0xFFFFFFFF81000001),),
            registers={"rip": 0xFFFFFFFF81000001},
            fingerprint=Fingerprint(version=1, exact="x", keys={"a": "b"}),
        ),
        findings=(
            Finding(
                kind=Kind.OPERATOR_SYSRQ,
                title="t",
                explanation="e",
                confidence=1.0,
                severity=Severity.INFO,
                culprit=culprit,
                tasks=(TaskRole(pid=1, comm="sh", role="operator"),),
                evidence=(Evidence(what="w", value="v", show="bt"),),
                next=("n",),
            ),
        ),
        verdict=Verdict(
            kind=Kind.OPERATOR_SYSRQ, title="t", confidence=0.9, culprit=culprit, finding=0, key="k"
        ),
        log=("line",),
    )


def test_report_survives_json_and_fits_its_schema() -> None:
    report = full_report()
    text = to_json(report)
    assert from_json(text, Report) == report
    jsonschema.validate(json.loads(text), json.loads(schema_text(Report)))


# The names that others build on, word for word.
PROMISED: dict[str, set[str]] = {
    "": {"schema", "dump", "symbols", "system", "crash", "findings", "verdict"},
    "dump": {
        "path", "format", "complete", "build_id", "release", "arch", "dump_level", "problems",
    },
    "symbols": {"source", "notes"},
    "system": {
        "release", "version", "nodename", "machine", "cpus", "memory_bytes", "crash_time",
        "uptime_seconds", "load_average", "tasks", "tainted",
    },
    "crash": {
        "kind", "title", "titles", "trigger", "corrupted", "corrupted_reason", "cpu", "task",
        "instruction", "frames", "registers", "modules", "tainted", "release", "hardware", "text",
        "fingerprint",
    },
    "crash.frames.0": {
        "function", "offset", "size", "module", "address", "file", "line", "inline", "reliable",
    },
    "crash.fingerprint": {"version", "exact", "keys"},
    "findings.0": {
        "kind", "title", "explanation", "confidence", "severity", "culprit", "tasks", "evidence",
        "next",
    },
    "findings.0.culprit": {"function", "module", "file", "line"},
    "findings.0.tasks.0": {"pid", "comm", "role"},
    "findings.0.evidence.0": {"what", "value", "show"},
    "verdict": {"kind", "title", "confidence", "culprit", "finding", "key"},
}  # fmt: skip


@pytest.mark.parametrize("where", PROMISED)
def test_report_has_the_promised_names(where: str) -> None:
    value: Any = json.loads(to_json(full_report()))
    for step in where.split(".") if where else []:
        value = value[int(step)] if step.isdigit() else value[step]
    assert set(value) >= PROMISED[where]


def test_unreadable_value_says_why_in_json() -> None:
    document = json.loads(to_json(full_report()))
    assert document["system"]["tasks"] == {"unreadable": "page excluded by makedumpfile"}


def test_confidence_has_bounds() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(1.1, Confidence)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": "kautopsy.report/2"}', b"\xff"])
def test_bad_document_is_a_named_error(text: str | bytes) -> None:
    with pytest.raises(UnreadableError, match="not a Report document"):
        from_json(text, Report)
