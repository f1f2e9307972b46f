"""Rules of the house that a program can hold: names, spelling, sizes of files, first words of docstrings."""

import ast
import builtins
import re
from collections import Counter, defaultdict

import pytest

from tests.support.paths import ROOT

SERVICES = ("gateway", "encoder", "api_gpu", "servicekit")
FILES = {service: sorted((ROOT / service).rglob("*.py")) for service in SERVICES}
BUILTINS = {name for name in dir(builtins) if not name.startswith("_")}
LONGEST_LINES = 400
# Spelled one way everywhere; in what is said to others, such as options of FFmpeg, too.
# "grey" is a name of CSS too, and "colour" stands in the bitstream's own words.
BRITISH = re.compile(
    r"\b(?:un)?(?:colour|centre|gr[e]y(?!\": )|behaviour|favour|honour|labelled|catalogue)(?:s|d|ed|ing)?\b", re.I
)
# Words that the house had before it took those of the field.
OLD = re.compile(r"desk|patience|spell|permit(?!ted)|seat|workshop|errand|leftovers|survived|holders", re.I)
POINTER = re.compile(r"See (?:[a-z_]+\.)?[A-Z`]\w*|See the settings table")


def trees(service):
    return [(path, ast.parse(path.read_text())) for path in FILES[service]]


def definitions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("service", SERVICES)
def test_no_two_classes_of_a_service_share_a_name(service):
    places = defaultdict(list)
    for path, tree in trees(service):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(ROOT)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_two_files_of_tests_share_a_name():
    """They would be one module to pytest."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("service", SERVICES)
def test_no_class_or_function_of_a_module_shadows_a_builtin(service):
    found = [
        (path.name, node.name)
        for path, tree in trees(service)
        for node in tree.body
        if getattr(node, "name", "") in BUILTINS
    ]
    assert found == []


@pytest.mark.parametrize("service", SERVICES)
def test_no_name_is_of_the_old_house(service):
    found = []
    for path, tree in trees(service):
        names = [node.name for node in definitions(tree)] + [path.stem]
        found += [(str(path.relative_to(ROOT)), name) for name in names if OLD.search(name)]
    assert found == []


@pytest.mark.parametrize("service", SERVICES)
def test_no_docstring_only_points_elsewhere(service):
    found = []
    for path, tree in trees(service):
        documented = [(node, ast.get_docstring(node)) for node in definitions(tree)]
        found += [(path.name, node.name) for node, text in documented if text and POINTER.match(text)]
    assert found == []


@pytest.mark.parametrize("service", SERVICES)
def test_spelling_is_american(service):
    texts = [(path, path.read_text().splitlines()) for path in FILES[service]]
    found = [
        (str(path.relative_to(ROOT)), line.strip()) for path, lines in texts for line in lines if BRITISH.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("service", SERVICES)
def test_no_file_is_too_long(service):
    assert [path.name for path in FILES[service] if len(path.read_text().splitlines()) > LONGEST_LINES] == []
