"""A whole pair whose disk is filled by somebody else, and emptied again."""

from tests.support import small_disk

SCRIPT = """
import os, sys
from pathlib import Path
import httpx
from servicekit.probe import is_serving
from tests.support.until import until_sync
from tools.pair import running

DISK = Path(sys.argv[1])
STORY = {"url_video": "assets/" + "a" * 26, "url_srt": "assets/" + "a" * 26}

def fill(name, left, tries=20):
    # In one step: the store gives up its reserve in the middle of many. What it writes meanwhile is in the way.
    with open(DISK / name, "wb") as file:
        for number in range(1, tries + 1):
            found = os.statvfs(DISK)
            try:
                os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - left)
                return
            except OSError:
                if number == tries:
                    raise

def job(client):
    return client.post("/video/caption", json=STORY, headers={"prefer": "respond-async"})

def upload(client):
    return client.put("/assets/a.srt", content=b"1\\n00:00:00,000 --> 00:00:01,000\\nhello\\n")

with running(DISK / "data") as pair:
    with httpx.Client(base_url=pair.http_url, headers={"x-api-key": pair.key}, timeout=60) as client:
        assert upload(client).status_code == 200
        assert client.get("/health").status_code == 200
        assert job(client).status_code == 202
        fill("others", left=500_000)
        until_sync(lambda: client.get("/health").status_code == 503)
        refused = upload(client)
        assert (refused.status_code, refused.headers["retry-after"]) == (507, "60"), refused.text
        assert "STORAGE_FULL" in refused.text
        assert job(client).status_code == 202  # the store lives on its reserve
        fill("more", left=0)
        until_sync(lambda: "full" in client.get("/health").json()["error"])
        assert client.get("/health").json()["status"] == "unhealthy"
        until_sync(lambda: not is_serving(pair.health_port))
        refused = job(client)
        assert (refused.status_code, refused.headers["retry-after"]) == (507, "60"), refused.text
        (DISK / "others").unlink()
        (DISK / "more").unlink()
        until_sync(lambda: client.get("/health").status_code == 200)
        until_sync(lambda: is_serving(pair.health_port))
        assert "error" not in client.get("/health").json()
        assert upload(client).status_code == 200
        queued = job(client)
        assert queued.status_code == 202, queued.text
        path = queued.headers["location"]
        until_sync(lambda: client.get(path).json()["status"] == "FAILED")  # there is no such asset
"""


def test_a_full_disk_is_told_and_survived(tmp_path):
    small_disk.run(SCRIPT, tmp_path, megabytes=256)
