"""The rooms import only downward, as ARCHITECTURE.md's table says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "kautopsy"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_MODULE = 500


def _table() -> dict[str, set[str]]:
    rows = re.findall(
        r"^\| `(\w+)/` \|.*\| ([^|]*) \|$", (ROOT / "ARCHITECTURE.md").read_text(), re.M
    )
    return {room: set(re.findall(r"\w+", may)) for room, may in rows}


def _imported_rooms(module: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Import(names=names):
                targets = [name.name for name in names]
            case ast.ImportFrom(module=str(name), level=0):
                targets = [name]
            case _:
                continue
        for target in targets:
            parts = target.split(".")
            if parts[0] == "kautopsy" and len(parts) > 1:
                yield parts[1], node.lineno


def _room(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0]


def _reachable(room: str, table: dict[str, set[str]]) -> set[str]:
    """What ``room`` may import: the rooms of its row, and what those may import."""
    seen: set[str] = set()
    todo = [room]
    while todo:
        for below in table.get(todo.pop(), set()) - seen:
            seen.add(below)
            todo.append(below)
    return seen


def test_every_room_is_in_the_table() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms == set(_table())


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward(module: Path) -> None:
    table = _table()
    room = _room(module)
    if room not in table or table[room] == {"all"}:
        return
    allowed = _reachable(room, table) | {room}
    wrong = [
        f"{module.relative_to(ROOT)}:{line}: {room}/ may not import {imported}/"
        for imported, line in _imported_rooms(module)
        if imported not in allowed
    ]
    assert not wrong, "\n".join(wrong)


def test_no_room_imports_itself_through_another() -> None:
    table = _table()
    assert [room for room in table if room in _reachable(room, table)] == []


def test_modules_are_short() -> None:
    lengths = {str(m.relative_to(ROOT)): len(m.read_text().splitlines()) for m in MODULES}
    assert {m: n for m, n in lengths.items() if n > LONGEST_MODULE} == {}
