"""The files of the console: what one names is there, and none needs anything from elsewhere, or forbidden."""

import re
from pathlib import Path

import pytest

from gateway.console import FOLDER

FILES = sorted(path for path in FOLDER.rglob("*") if path.suffix in (".js", ".css", ".html"))
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
NAMED = re.compile(r"""(?:from|import|import\(|new URL\()\s*["'](\.{1,2}/[\w./-]+)["']""")
# Of these each would be refused by the policy, or by trusted types, in some browser.
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.setAttribute\(\"style"
)
ELSEWHERE = re.compile(r"(?:https?:)?//(?!www\.w3\.org/|example\.com/)[a-z0-9-]+\.[a-z]", re.I)
LONGEST_LINES = 400


def shown(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


@pytest.mark.parametrize("path", SCRIPTS, ids=shown)
def test_what_a_script_imports_is_there(path):
    named = [path.parent / name for name in NAMED.findall(path.read_text())]
    assert [str(file) for file in named if not file.is_file()] == []


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_a_file_is_short_and_needs_nothing_that_is_forbidden_or_elsewhere(path):
    text = path.read_text()
    assert FORBIDDEN.findall(text) == []
    assert ELSEWHERE.findall(text) == []
    assert len(text.splitlines()) <= LONGEST_LINES


def test_styles_of_one_page_are_not_those_of_another():
    """Style sheets stay loaded from page to page."""
    owners = {}
    for path in (path for path in FILES if path.suffix == ".css" and path.parent != FOLDER):
        rules = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
        for name in re.findall(r"(?:^|[},])\s*\.([\w-]+)(?=\s*[,{])", rules):
            owners.setdefault(name, set()).add(path.parent.name)
    assert {name: pages for name, pages in owners.items() if len(pages) > 1} == {}
    assert "stage" in owners


def test_each_style_sheet_is_loaded():
    named = "".join(path.read_text() for path in FILES if path.suffix != ".css")
    assert [shown(path) for path in FILES if path.suffix == ".css" and f"/{path.name}" not in named] == []


def test_the_document_has_nothing_inline_and_names_files_that_are_there():
    text = (FOLDER / "index.html").read_text()
    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text) == []
    named = re.findall(r'(?:src|href)="console/([^"]+)"', text)
    assert [name for name in named if not (FOLDER / name).is_file()] == []
    assert len(named) == len(re.findall(r'(?:src|href)="', text))
