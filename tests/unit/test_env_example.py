""".env.example names settings that there are, with their defaults."""

import re

import pytest

from encoder.config import EncoderSettings
from gateway.config import GatewaySettings
from servicekit.config import Settings
from tests.support.paths import ROOT

TEXT = (ROOT / ".env.example").read_text()
LINES = re.findall(r"^(#?)([A-Z][A-Z0-9_]*)=(.*)$", TEXT, re.MULTILINE)
DEFAULTS = {name: value for is_comment, name, value in LINES if is_comment}
SERVICES: tuple[type[Settings], ...] = (GatewaySettings, EncoderSettings)


def plain(value: object) -> str:
    """A default as the file writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.12g}"
    return "" if value is None else str(value)


@pytest.mark.parametrize("name", [name for _, name, _ in LINES])
def test_each_line_is_a_setting(name: str) -> None:
    assert any(name in service.variables() for service in SERVICES)


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_commented_value_is_the_default(name: str) -> None:
    fields = [service.variables()[name] for service in SERVICES if name in service.variables()]
    assert DEFAULTS[name] in {plain(field.default) for field in fields}


def test_what_is_not_commented_is_what_has_no_default() -> None:
    given = {name for is_comment, name, _ in LINES if not is_comment}
    assert given == {name for service in SERVICES for name, field in service.variables().items() if field.is_required()}


def test_every_line_is_a_comment_or_a_setting() -> None:
    others = [line for line in TEXT.splitlines() if line and not line.startswith("#") and "=" not in line]
    assert others == []
