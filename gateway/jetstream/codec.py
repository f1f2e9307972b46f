"""The fields of a stored record that this version knows."""

from dataclasses import fields
from typing import Any


def drop_unknown_fields(kind: type[Any], record: dict[str, Any]) -> dict[str, Any]:
    """The record without what `kind`, a dataclass, has no field for: a later version wrote that, before a rollback."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in record.items() if name in names}
