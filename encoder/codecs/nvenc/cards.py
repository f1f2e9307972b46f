"""What the cards can do, found out by trying. Runs in the worker."""

import json
import os
import signal
import sys
import traceback
from dataclasses import asdict
from fractions import Fraction
from typing import Any

import numpy as np

from encoder.codecs.card import NO_B_FRAMES, NO_FORMAT, NO_LOOKAHEAD, Card, Size
from encoder.codecs.nvenc.driver import Cards
from encoder.codecs.nvenc.parameters import FORMATS, Parameters
from encoder.codecs.nvenc.request import EncodeRequest
from encoder.codecs.nvenc.sdk_log import LOST
from encoder.codecs.nvenc.session import DeviceError, Session, capabilities
from encoder.media.color import HD

TRIED = (256, 144)
ASK_SECONDS = 50


def asked(parameters: Parameters) -> bytes:
    """What the cards are, as the first message of a worker. A process of its own asks: the library keeps the session in
    which it was told that a card cannot make a format, and ends the process that meets a lost card."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(ASK_SECONDS)  # ends it, should the driver not answer
        try:
            os.write(writing, json.dumps(_found(parameters)).encode())
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said or json.dumps({"fault": LOST, "cards": []}).encode()


def _found(parameters: Parameters) -> dict[str, Any]:
    try:
        cards = Cards()
    except OSError as error:
        return {"fault": str(error), "cards": []}
    found = [asdict(described(number, name, parameters)) for number, name in enumerate(cards.names)]
    return {"fault": "", "cards": found}


def described(number: int, name: str, parameters: Parameters) -> Card:
    """A card, after a session was tried on it."""
    can: dict[str, dict[str, Any]] = {}
    for form in FORMATS:
        try:
            can[form] = capabilities(number, form)
        except DeviceError as error:
            last = error
    formats = {form: _sizes(caps) for form, caps in can.items()}
    if not can:
        return Card(name, formats, _logged(last))
    if parameters.format not in can:
        return Card(name, formats, NO_FORMAT.format(parameters.format, ", ".join(can)))
    lacking = _lacking(can[parameters.format], parameters)
    return Card(name, formats, lacking or _tried(number, parameters, formats[parameters.format]))


def _sizes(caps: dict[str, Any]) -> tuple[Size, Size]:
    return (caps["width_min"], caps["height_min"]), (caps["width_max"], caps["height_max"])


def _lacking(caps: dict[str, Any], parameters: Parameters) -> str:
    """What is asked of the card that it has not; "" when it has all."""
    most = caps["num_max_bframes"]
    if parameters.b_frames > most:
        return NO_B_FRAMES.format(parameters.format, most, most)
    return NO_LOOKAHEAD if parameters.lookahead and not caps["support_lookahead"] else ""


def _tried(number: int, parameters: Parameters, limits: tuple[Size, Size]) -> str:
    """Why a session does not open and encode; "" when it does."""
    width, height = TRIED
    order = EncodeRequest(0, number, parameters, Fraction(25), HD, Fraction(1), limits, None, wait=False)
    try:
        with Session(order, width, height) as session:
            made = session.encode(np.full((height * 3 // 2, width), 128, np.uint8)) + session.end()
    except DeviceError as error:
        return _logged(error)
    except ValueError as error:
        return str(error)
    return "" if made else "it encodes nothing"


def _logged(error: DeviceError) -> str:
    print(error.words, file=sys.stderr)
    return str(error)
