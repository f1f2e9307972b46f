"""Wires uploads that go on where they were cut."""

import contextlib
from datetime import timedelta

from gateway.assets.store import AssetStore
from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.records import Records
from gateway.uploads.session import UploadSession
from gateway.uploads.sessions import UploadSessions


async def open_uploads(
    bucket: KeyValue, assets: AssetStore, lifetime_seconds: float, stack: contextlib.AsyncExitStack
) -> UploadSessions:
    """Return the uploads of all gateways, whose records are followed until `stack` ends; the sweep of the assets asks
    for their parts from now on."""
    records = Records(bucket, UploadSession, "upload", keeps_values=False)
    sessions = UploadSessions(records, assets, timedelta(seconds=lifetime_seconds))
    records.listeners.append(sessions.open.note)
    await records.start()
    stack.push_async_callback(records.stop)
    assets.unfinished = sessions.unfinished
    stack.push_async_callback(sessions.close)
    return sessions
