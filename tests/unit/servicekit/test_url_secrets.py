"""URLs are told without what opens something: in their queries, and in the paths of webhooks, bots and tokens."""

import random
import uuid
from base64 import urlsafe_b64encode

import pytest

from servicekit.url_secrets import masked_url

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://api.telegram.org/bot{TOKEN}/sendVideo", "https://api.telegram.org/bot***/sendVideo"),
        (f"https://API.telegram.org/file/bot{TOKEN}/a/file_5.mp4", "https://API.telegram.org/file/bot***/a/file_5.mp4"),
        ("https://hooks.slack.com/services/T0/B0/x", "https://hooks.slack.com/services/***"),
        ("https://discord.com/api/webhooks/1/x?wait=true", "https://discord.com/api/webhooks/***?***"),
        ("https://canary.discord.com/api/v10/webhooks/1/x", "https://canary.discord.com/api/v10/webhooks/***"),
        ("https://a.webhook.office.com/webhookb2/x@y/z", "https://a.webhook.office.com/webhookb2/***"),
        ("https://hooks.zapier.com/hooks/catch/1/x/", "https://hooks.zapier.com/hooks/catch/***"),
        ("https://hook.eu2.make.com/x", "https://hook.eu2.make.com/***"),
        ("https://maker.ifttt.com/trigger/done/with/key/x", "https://maker.ifttt.com/trigger/done/with/key/***"),
        ("https://webhook.site/x", "https://webhook.site/***"),
        # What is like a token is one, wherever it stands.
        ("https://n8n.example.com/webhook/9b2d7f0e-4c1a-4e7b-9d3f-1a2b3c4d5e6f", "https://n8n.example.com/webhook/***"),
        ("https://x.y/t/sk_4eC39HqLyjWDarjtT1zdp7dc/run", "https://x.y/t/***/run"),
        ("https://x.y/%73k_4eC39HqLyjWDarjtT1zdp7dc/run", "https://x.y/***/run"),
        ("https://x.y/d41d8cd98f00b204e9800998ecf8427e/a.mp4", "https://x.y/***/a.mp4"),
        ("https://x.y/d/d41d8cd98f00b204e9800998ecf8427e", "https://x.y/d/***"),
        ("https://x.y/" + "a/" * 5000, "https://x.y/***"),
        # Names of files, words, dates and numbers are none.
        ("https://x.y/v/d41d8cd98f00b204e9800998ecf8427e.mp4", "https://x.y/v/d41d8cd98f00b204e9800998ecf8427e.mp4"),
        ("https://x.y/MyHolidayVideo2024FinalCut/my-holiday-2024.mp4", None),
        ("https://x.y/2026-07-31/1700000000000000/IMG20240101WA0001/WhatsAppVideo20240101", None),
        ("https://cdn.example.com/wp-content/uploads/2026/07/how-to-caption-a-video-in-10-minutes/", None),
        ("https://x.y/services/T0/B0/x", None),
        ("s3://bucket/{metadata.project}/{item}.mp4", None),
        ("assets/abcdefghijklmnopqrstuvwxyz", None),
        ("", None),
    ],
)
def test_a_url_is_told_without_its_secrets(url, shown):
    assert masked_url(url) == (url if shown is None else shown)


@pytest.mark.parametrize(
    "shown",
    [bytes.hex, lambda data: urlsafe_b64encode(data * 2).decode().rstrip("="), lambda data: str(uuid.UUID(bytes=data))],
    ids=["hex", "base64", "uuid"],
)
def test_what_chance_makes_is_taken_for_a_token(shown):
    chance = random.Random(1)
    found = [shown(chance.randbytes(16)) for _ in range(1000)]
    kept = [one for one in found if one in masked_url(f"https://x.y/hook/{one}")]
    assert len(kept) <= 10, kept  # chance may look like words, too
