"""SECURITY.md: every defence has a test that exists, and what is measured is measured."""

import ast
import re

from attack.__main__ import ATTACKS
from tests.support.paths import ROOT

PAGE = (ROOT / "SECURITY.md").read_text()
HEAD = "| threat | defence | test |"


def defences():
    """The rows of all tables of defences: threat, defence, the names in the cell of tests."""
    for table in PAGE.split(HEAD)[1:]:
        for line in table.partition("\n\n")[0].splitlines()[2:]:
            threat, defence, tests = (cell.strip() for cell in line.strip("| ").split(" | "))
            yield threat, defence, re.findall(r"`([^`]+)`", tests)


def functions(path):
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_there_are_rows():
    assert len(list(defences())) > 20


def test_every_defence_has_a_test_that_exists():
    for threat, _, tests in defences():
        assert tests, threat
        for name in tests:
            file, _, function = name.partition("::")
            assert (ROOT / file).is_file(), name
            assert not function or function in functions(ROOT / file), name


def test_no_threat_stands_there_twice():
    threats = [threat for threat, *_ in defences()]
    assert sorted(set(threats)) == sorted(threats)


def test_every_kind_of_attack_is_run_by_name():
    known = {path.stem for path in (ROOT / "attack").glob("[!_]*.py") if "async def rows(" in path.read_text()}
    assert known == ATTACKS.keys()
