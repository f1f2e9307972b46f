"""Tests know the product by what it offers: none reaches into a private attribute."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FILES = sorted((ROOT / "tests").rglob("*.py"))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names() -> set[str]:
    """Private names that the tests define themselves: functions, methods, attributes, fields."""
    names = {"_replace", "_asdict", "_fields", "_exit"}  # public by Python's own documentation
    for tree in map(parsed, FILES):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node.value):
                names.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
    return names


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def is_own(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id in ("self", "cls")


def reached_into(path: Path, own: set[str]) -> Iterator[str]:
    """Yield `line: expression` of each private attribute of something else, by dot, getattr, setattr or monkeypatch."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if not is_own(node.value) and node.attr not in own:
                yield f"{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Call):
            yield from named_in(node, own)


def named_in(call: ast.Call, own: set[str]) -> Iterator[str]:
    function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if function not in ("getattr", "setattr", "delattr", "hasattr"):
        return
    for argument in call.args[:2]:
        name = argument.value if isinstance(argument, ast.Constant) else None
        if isinstance(name, str) and is_private(last := name.rpartition(".")[2]) and last not in own:
            yield f"{call.lineno}: {ast.unparse(call)}"


def test_no_test_reaches_into_a_private_attribute() -> None:
    own = own_names()
    found = {str(path.relative_to(ROOT)): list(reached_into(path, own)) for path in FILES}
    unexpected = [f"{name}:{place}" for name, places in found.items() for place in places]
    assert not unexpected, "\n".join(unexpected)


@pytest.mark.parametrize(
    "line",
    [
        "encoder._pool",
        "store.records._cache[1]",
        'getattr(store, "_cache")',
        'monkeypatch.setattr("gateway.app._x", 1)',
    ],
)
def test_a_private_attribute_is_seen(tmp_path: Path, line: str) -> None:
    (tmp_path / "test_it.py").write_text(line)
    assert list(reached_into(tmp_path / "test_it.py", set()))
