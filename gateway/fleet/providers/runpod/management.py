"""What RunPod's management API, version 2, says of the endpoint and of the cards that its workers could have. Pure.

Source: the schemas Endpoint, EndpointGpuConfig and GpuType of its OpenAPI document.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from servicekit.errors import Unavailable

NO_STOCK = "NONE"
MAX_NAMED = 6


@dataclass(frozen=True, slots=True)
class Card:
    """A type of card: its pool at RunPod Serverless ("" for none), and its stock: NONE, LOW, MEDIUM, HIGH, or "" where
    it is not told."""

    id: str
    pool: str
    stock: str


@dataclass(frozen=True, slots=True)
class ManagedEndpoint:
    """How the endpoint is set up: seconds until an idle worker is ended (None for one that scales by requests, which
    cannot have it), and that one task may take. All cards of its pools but the excluded ones will do."""

    idle_seconds: int | None
    max_seconds: int
    pools: Sequence[str]
    excluded: Sequence[str]

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> "ManagedEndpoint":
        """Parse the answer to a question for the endpoint. Raises Unavailable for what is none."""
        try:
            idle, gpu = answer["workers"].get("idleTimeout"), answer.get("gpu") or {}  # on processors it has no cards
            return cls(
                None if idle is None else int(idle),
                round(answer["timeout"] / 1000),
                tuple(gpu.get("pools") or ()),
                tuple(gpu.get("excludedTypes") or ()),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Unavailable("RunPod's answer does not have the endpoint's configuration.") from error

    def shortage(self, cards: Sequence[Card]) -> str:
        """Return that no worker can start, as no card of the endpoint is in stock; "" where one is, or may be."""
        fit = [card for card in cards if card.pool in self.pools and card.id not in self.excluded]
        if not fit or any(card.stock != NO_STOCK for card in fit):
            return ""
        named = ", ".join(card.id for card in fit[:MAX_NAMED])
        more = ", …" if len(fit) > MAX_NAMED else ""
        return f"RunPod has no card of the endpoint in stock now ({named}{more}); tasks start when one is free."


def parse_cards(answer: Mapping[str, Any]) -> list[Card]:
    """Parse the answer to a question for the catalog of cards. Raises Unavailable for what is none."""
    try:
        return [
            Card(str(card["id"]), str(card.get("pool") or ""), str(card.get("availability") or ""))
            for card in answer["gpus"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise Unavailable("RunPod's answer does not have its cards.") from error
