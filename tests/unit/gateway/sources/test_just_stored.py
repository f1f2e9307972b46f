"""Inputs that are held until the first attempt at their job."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.assets.record import StoredAsset
from gateway.sources.just_stored import JustStored
from servicekit.chunks import MAX_SMALL_BYTES
from servicekit.errors import NotFound

NOW = datetime.now(UTC)
ASSET = StoredAsset(
    id="a" * 26,
    filename="a.srt",
    content_type="text/plain",
    size_bytes=2,
    sha256="0" * 64,
    created_at=NOW,
    expires_at=NOW + timedelta(hours=1),
    tenant="acme",
)


async def held_for(job_id: str, **limits: float) -> JustStored:
    held = JustStored(**limits)  # type: ignore[arg-type]
    held.add(ASSET, b"Hi")
    if job_id:
        held.bind([ASSET.name, "assets/other"], job_id)
    return held


async def test_its_own_job_has_it_once() -> None:
    held = await held_for("job")
    assert [held.take(ASSET.id, job_id, "acme") for job_id in ("other", "")] == [None, None]
    found = held.take(ASSET.id, "job", "acme")
    assert found is not None
    assert (found.data, held.held_bytes, held.take(ASSET.id, "job", "acme")) == (b"Hi", 0, None)


async def test_what_is_for_no_job_yet_is_nobodys() -> None:
    held = await held_for("")
    assert held.take(ASSET.id, "", "acme") is None


async def test_another_tenant_does_not_have_it() -> None:
    with pytest.raises(NotFound):
        (await held_for("job")).take(ASSET.id, "job", "other")


async def test_what_is_deleted_is_forgotten() -> None:
    held = await held_for("job")
    held.told(ASSET.id, is_stored=True)
    assert held.held_bytes == 2
    held.told(ASSET.id, is_stored=False)
    assert (held.take(ASSET.id, "job", "acme"), held.held_bytes) == (None, 0)


async def test_it_is_forgotten_after_a_while() -> None:
    held = await held_for("job", seconds=0.0)
    await asyncio.sleep(0.001)
    assert (held.take(ASSET.id, "job", "acme"), held.held_bytes) == (None, 0)


async def test_what_is_held_is_bounded() -> None:
    held = await held_for("job", max_bytes=5)
    held.add(replace(ASSET, id="b" * 26), b"1234")
    assert held.held_bytes == 2
    held.add(ASSET, b"12345")  # in place of the one before
    assert held.held_bytes == 5
    large = JustStored()
    large.add(ASSET, bytes(MAX_SMALL_BYTES + 1))
    assert large.held_bytes == 0
