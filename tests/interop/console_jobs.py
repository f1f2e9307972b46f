"""Jobs of a pair as tests of the console make and find them."""

from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page

from tools.pair import Pair


def upload(http: httpx.Client, filename: str, path: Path) -> str:
    """Store a file at the pair; return the name of its asset."""
    answer = http.put("/assets", params={"filename": filename}, content=path.read_bytes()).raise_for_status()
    return str(answer.json()["name"])


def submit(http: httpx.Client, operation: str, **body: Any) -> str:
    """Begin a job; return its id."""
    answer = http.post(f"/video/{operation}", json=body, headers={"prefer": "respond-async"}).raise_for_status()
    return str(answer.json()["id"])


def ended(http: httpx.Client, job_id: str) -> dict[str, Any]:
    """Return a job once it has ended."""
    told: dict[str, Any] = http.get(f"/job/{job_id}", params={"wait_seconds": 100}).raise_for_status().json()
    return told


def address(pair: Pair, path: str = "/jobs") -> str:
    """Return the address of a page of the console."""
    return f"{pair.http_url}/#{path}"


def row(page: Page, job_id: str) -> Any:
    """Return the row of a job in the list."""
    return page.locator("job-row", has=page.locator(f'a[href="#/jobs/{job_id}"]'))
