"""What the cards can do, found out by trying. Runs in the worker."""

from fractions import Fraction
from typing import Any

import numpy as np

from encoder.codecs.card import AT_LIMIT, NO_ENCODER, NO_FORMAT, Card, Size
from encoder.codecs.nvenc.order import Order
from encoder.codecs.nvenc.parameters import FORMATS, Parameters
from encoder.codecs.nvenc.session import DeviceError, LimitError, Session, capabilities
from encoder.colours import HD

TRIED = (256, 144)


def described(number: int, name: str, parameters: Parameters) -> Card:
    """A card, after a session was tried on it."""
    formats = {}
    for form in FORMATS:
        try:
            formats[form] = _sizes(capabilities(number, form))
        except DeviceError as error:
            last = str(error)
    if not formats:
        return Card(name, formats, NO_ENCODER if "error 2 " in last else last)
    if parameters.format not in formats:
        return Card(name, formats, NO_FORMAT.format(parameters.format, ", ".join(formats)))
    return Card(name, formats, _tried(number, parameters))


def _sizes(caps: dict[str, Any]) -> tuple[Size, Size]:
    return (caps["width_min"], caps["height_min"]), (caps["width_max"], caps["height_max"])


def _tried(number: int, parameters: Parameters) -> str:
    """Why a session does not open and encode; "" when it does."""
    width, height = TRIED
    order = Order(0, number, parameters, Fraction(25), HD, Fraction(1), None, wait=False)
    try:
        with Session(order, width, height) as session:
            made = session.encode(np.full((height * 3 // 2, width), 128, np.uint8)) + session.end()
    except LimitError:
        return AT_LIMIT
    except (DeviceError, ValueError) as error:
        return str(error)
    return "" if made else "it encodes nothing"
