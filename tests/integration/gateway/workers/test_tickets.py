"""Tickets in their store."""

import json

from gateway.workers.tickets import AttemptTicket, Tickets

TICKET = AttemptTicket("t", "a", "a.mp4", (("url_video", "assets/x"),), "run")


async def test_what_a_later_version_has_written_is_left_out(jetstream):
    records = await jetstream.key_value("tickets")
    tickets = Tickets(records)
    await tickets.issue("k", TICKET)
    entry = await records.get("k")
    await records.update("k", json.dumps(json.loads(entry.value) | {"later": 1}).encode(), entry.revision)
    assert await tickets.get("k") == TICKET


async def test_only_the_ticket_that_a_task_has_is_closed_or_dropped(jetstream):
    tickets, other = Tickets(await jetstream.key_value("tickets")), AttemptTicket("o", "b", "a.mp4", ())
    await tickets.issue("k", TICKET)
    await tickets.close("k", other)
    assert not await tickets.drop("k", other)
    assert await tickets.get("k") == TICKET
    await tickets.close("k", TICKET)
    found = await tickets.get("k")
    assert (found.is_closed, found.run_id, found.asset_id) == (True, "", "a")
    assert await tickets.drop("k", TICKET)
    assert await tickets.keys() == []
