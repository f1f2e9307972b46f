"""The labels that machines carry at their providers: the fleet's name, and a random part."""

import re
import secrets


def new_label(fleet: str) -> str:
    """A label that nothing else has: "api-gpu-5f0c…"."""
    return f"{fleet}-{secrets.token_hex(8)}"


def is_of(fleet: str, label: str) -> bool:
    """Whether this fleet gave the label. Fleets of other names are left alone, also when one name begins as another."""
    return re.fullmatch(rf"{re.escape(fleet)}-[0-9a-f]{{16}}", label) is not None
