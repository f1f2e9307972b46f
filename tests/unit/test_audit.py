"""The audit of the locks says what it found, and what it could not find out."""

import json

from tests.support.paths import ROOT
from tools.audit import LOCKS, exit_status, read

ADVISORY = {"id": "PYSEC-2019-217", "aliases": ["CVE-2019-10906"], "fix_versions": ["2.10.1"]}
CLEAN = {"name": "starlette", "version": "1.10", "vulns": []}
BAD = {"name": "jinja2", "version": "2.4.1", "vulns": [ADVISORY]}
SKIPPED = {"name": "flask", "skip_reason": "Dependency not found on PyPI and could not be audited: flask (3.0)"}


def report(*packages, error=""):
    return read("x.lock", json.dumps({"dependencies": packages}) if packages else "", error)


def test_a_clean_lock_says_how_many_were_judged():
    found = report(CLEAN)
    assert list(found.lines()) == ["x.lock: 1 packages held against the advisories, 0 vulnerable"]
    assert exit_status([found], is_required=True) == 0


def test_an_advisory_fails_and_says_what_mends_it():
    found = report(CLEAN, BAD)
    assert found.found == ["jinja2 2.4.1: CVE-2019-10906, PYSEC-2019-217; mended in 2.10.1"]
    assert exit_status([report(CLEAN), found], is_required=False) == 1


def test_what_could_not_be_judged_is_named_and_no_success():
    for found in (report(SKIPPED), report(error="ConnectionError: no such host\n")):
        assert any("NOT CHECKED" in line for line in found.lines())
        assert exit_status([found], is_required=False) == 0
        assert exit_status([found], is_required=True) == 1


def test_every_lock_is_audited():
    locks = (ROOT / "Makefile").read_text().partition("\nlock:")[2].partition("\n\n")[0]
    assert [lock for lock in LOCKS if f"--output-file {lock}" in locks] == list(LOCKS)
    assert locks.count(".lock") - locks.count("requirements.lock") == len(LOCKS) - 1
