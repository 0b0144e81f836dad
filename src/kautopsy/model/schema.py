"""``python -m kautopsy.model.schema DIR``: the JSON Schemas of all documents, from their types.

The files in ``docs/schema/`` are what others validate against; a test holds them to the types.
"""

from __future__ import annotations

import json
import sys
from inspect import cleandoc
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from kautopsy.model.base import json_schema
from kautopsy.model.capture import CollectDocument
from kautopsy.model.drill import DrillRecord
from kautopsy.model.plan import Plan
from kautopsy.model.readiness import DoctorDocument
from kautopsy.model.report import OopsDocument, Report, SimilarDocument
from kautopsy.model.trigger import TriggerDocument

DOCUMENTS: tuple[type[msgspec.Struct], ...] = (
    Report,
    OopsDocument,
    SimilarDocument,
    DoctorDocument,
    Plan,
    DrillRecord,
    TriggerDocument,
    CollectDocument,
)


def name_of(document: type[msgspec.Struct]) -> str:
    """The value of a document's ``schema`` field: ``kautopsy.report/1``."""
    (name,) = get_args(get_type_hints(document)["schema"])
    return str(name)


def file_name(document: type[msgspec.Struct]) -> str:
    """``kautopsy.report/1`` lies in ``report-1.json``."""
    return name_of(document).removeprefix("kautopsy.").replace("/", "-") + ".json"


def schema_text(document: type[msgspec.Struct]) -> str:
    """The schema of one document, as its file holds it."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name_of(document),
        **_without_indentation(json_schema(document)),
    }
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def _without_indentation(value: Any) -> Any:
    """Docstrings as Python 3.13 and later keep them, whichever Python this is."""
    if isinstance(value, dict):
        return {
            key: cleandoc(inner)
            if key == "description" and isinstance(inner, str)
            else _without_indentation(inner)
            for key, inner in value.items()
        }
    return [_without_indentation(one) for one in value] if isinstance(value, list) else value


def main() -> None:
    """Write all schemas into the directory that is named."""
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for document in DOCUMENTS:
        (directory / file_name(document)).write_text(schema_text(document))


if __name__ == "__main__":
    main()
