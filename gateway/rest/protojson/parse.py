"""The text of JSON to Python's values, within bounds: of the number of values, their depth and the length of numbers.

What they cost is known before any value is made. Every error is an InvalidArgument that names the place.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from servicekit.echo import brief
from servicekit.errors import InvalidArgument, ResourceExhausted

# More than the largest request needs: 50,000 words of captions, each an object of three.
MAX_VALUES = 250_000
# Strings, of which one may lack its end; possessive, so that no text makes it try twice.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


def most_values(body: bytes) -> int:
    """Return how many values the JSON of a body has at most; commas and brackets in strings count too."""
    return 1 + body.count(b",") + body.count(b"[") + body.count(b"{")


def loads(body: bytes) -> Any:
    """Parse the JSON of a body. Raises InvalidArgument that names line and column, ResourceExhausted."""
    if most_values(body) > MAX_VALUES and most_values(_STRING.sub(b"", body)) > MAX_VALUES:
        text = f"The body is made of over {MAX_VALUES} values, the most that a request may have; send several."
        raise ResourceExhausted(text, reason="TOO_LARGE")
    try:
        text = body.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"The body is not UTF-8: byte {error.start} is wrong.", reason="BAD_JSON") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidArgument(f"The body is not valid JSON: {error.msg} at {place}.", reason="BAD_JSON") from error
    except ValueError as error:  # raised by the hooks below, and for numbers of thousands of digits
        raise InvalidArgument(f"The body is not valid JSON: {error}.", reason="BAD_JSON") from error
    except RecursionError as error:
        raise InvalidArgument("The body is nested too deep.", reason="BAD_JSON") from error


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    seen = set()
    for name, _ in pairs:
        if name in seen:
            raise ValueError(f'the key "{brief(name)}" is there twice')
        seen.add(name)
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f'{name} is no JSON number; write "{name}" in quotes')
