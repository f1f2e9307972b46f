"""For receivers of webhooks: check who sent a call, and read it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from servicekit.errors import Unauthenticated

ID = "webhook-id"


@dataclass(frozen=True)
class WebhookCall:
    """What a gateway told. `id` is the same when it is told again, so that doubles can be dropped; `type` is
    "job.ended" or another event; `job` is the JSON of the job, `body` all that was sent."""

    id: str
    type: str
    job: dict[str, Any]
    body: dict[str, Any]


def read(body: bytes, headers: Mapping[str, str], secret: str) -> WebhookCall:
    """Return what the body of a call says. Raise Unauthenticated for one that was not signed with the secret
    ("whsec_…") within the last five minutes."""
    names = {name.lower(): value for name, value in headers.items()}
    try:
        Webhook(secret).verify(body, names, json_parse=False)
        found = json.loads(body)
        return WebhookCall(names[ID], found["type"], found["data"], found)
    except (WebhookVerificationError, ValueError, KeyError, TypeError) as error:
        text = "The call is not signed with this secret, or is older than five minutes; do not believe it."
        raise Unauthenticated(text, reason="BAD_SIGNATURE") from error
