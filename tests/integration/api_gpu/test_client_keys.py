"""`api-gpu keys`: what an operator does with keys from the command line."""

from pathlib import Path

from tests.conftest import ADMIN_KEY
from tests.integration.api_gpu.conftest import Run

ADMIN = {"ADMIN_API_KEY": ADMIN_KEY}


def test_keys_are_made_listed_rotated_and_revoked(run: Run, tmp_path: Path) -> None:
    made = run("keys", "create", "acme", "--name", "flows", "--scope", "read", "--days", "30", **ADMIN)
    assert made.returncode == 0, made.stderr
    text = made.stdout.strip()
    key_id = text.split("_")[1]
    assert f"key {key_id} of acme may read" in made.stderr
    rows = [row.split("\t") for row in run("keys", "list", "--tenant", "acme", **ADMIN).stdout.splitlines()]
    assert [row[:4] for row in rows if row[0] == key_id] == [[key_id, "acme", "flows", "read"]]
    assert run("jobs", X_API_KEY=text).returncode == 0
    (tmp_path / "key").write_text(f"{text}\n")
    (tmp_path / "admin").write_text(f"{ADMIN_KEY}\n")
    assert run("jobs", X_API_KEY_FILE=str(tmp_path / "key")).returncode == 0
    assert run("keys", "list", ADMIN_API_KEY_FILE=str(tmp_path / "admin")).returncode == 0
    other = run("keys", "rotate", key_id, **ADMIN).stdout.strip()
    assert run("jobs", X_API_KEY=text).returncode == 1
    assert run("keys", "revoke", key_id, **ADMIN).returncode == 0
    refused = run("jobs", X_API_KEY=other)
    assert (refused.returncode, "This API key was revoked" in refused.stderr) == (1, True)


def test_limits_of_a_key_are_set_listed_and_changed(run: Run) -> None:
    limits = ("--max-queued-jobs", "5", "--max-running-tasks", "2", "--max-minutes-per-day", "90", "--max-usd-per-day")
    key_id = run("keys", "create", "limited", *limits, "0.5", **ADMIN).stdout.split("_")[1]
    (row,) = run("keys", "list", "--tenant", "limited", **ADMIN).stdout.splitlines()
    assert row.split("\t")[-1] == "5 queued, 2 running, 90 min/day, 0.5 $/day"
    changed = run("keys", "set", key_id, "--max-queued-jobs", "0", "--max-running-tasks", "3", **ADMIN)
    assert changed.stdout.splitlines()[-1].split("\t")[-1] == "3 running, 90 min/day, 0.5 $/day"


def test_without_the_key_of_an_admin_it_says_what_is_needed(run: Run) -> None:
    refused = run("keys", "list")
    assert refused.returncode == 1
    assert "ListKeys needs a key with the scope admin" in refused.stderr
