"""The API's description (OpenAPI 3.1), made of what the operations declare."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

import kautopsy
from kautopsy.web.api.operation import PREFIX, Operation, Problem

_REFERENCE = "#/components/schemas/{name}"
_IN_PATH = re.compile(r"\{(\w+)(?::\w+)?\}")


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The whole description."""
    kinds = {operation.answer for operation in operations} | {Problem}
    kinds |= {operation.body for operation in operations if operation.body is not None}
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    schemas, components = msgspec.json.schema_components(ordered, ref_template=_REFERENCE)
    by_kind = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = PREFIX + _IN_PATH.sub(r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, by_kind)
    paths[PREFIX + "/uploads/{upload}"]["patch"] = _receive(by_kind)
    return {
        "openapi": "3.1.0",
        "info": {"title": "kautopsy", "version": kautopsy.__version__},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _IN_PATH.findall(operation.path)
    ]
    parameters += [
        {
            "name": one.name,
            "in": "query",
            "description": one.doc,
            "schema": {"type": "integer", "minimum": 0} if one.number else {"type": "string"},
        }
        for one in operation.parameters
    ]
    described: dict[str, Any] = {
        "summary": operation.doc,
        "description": f"For the role {operation.role.value} and those above it.",
        "parameters": parameters,
        "responses": _responses(operation.status, schemas[operation.answer], schemas),
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _json(schemas[operation.body])}
    return described


def _receive(schemas: dict[Any, Any]) -> dict[str, Any]:
    from kautopsy.fleet.nouns import Upload

    return {
        "summary": "Send bytes of a file, from Upload-Offset on.",
        "parameters": [
            {"name": "upload", "in": "path", "required": True, "schema": {"type": "string"}},
            {
                "name": "Upload-Offset",
                "in": "header",
                "required": True,
                "schema": {"type": "integer", "minimum": 0},
            },
        ],
        "requestBody": {"content": {"application/octet-stream": {}}},
        "responses": _responses(200, schemas[Upload], schemas),
    }


def _responses(status: int, schema: dict[str, Any], schemas: dict[Any, Any]) -> dict[str, Any]:
    return {
        str(status): {"description": "It worked.", "content": _json(schema)},
        "default": {"description": "It did not.", "content": _json(schemas[Problem])},
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
