"""Dataclasses to JSON and back."""

import json
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, StrEnum
from fractions import Fraction

import pytest
from pydantic import RootModel

from servicekit.codec import STORED, from_json, make_ready, to_json


class Color(StrEnum):
    RED = "red"


class Level(Enum):
    HIGH = 3


@dataclass(frozen=True)
class Part:
    name: str
    weight: float = 1.0
    colors: tuple[Color, ...] = ()


@dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...] = ()
    size: tuple[int, str] = (1, "a")
    by_name: Mapping[str, Part] = field(default_factory=dict)
    best: Part | None = None
    data: bytes = b""
    rate: Fraction = Fraction(0)
    at: datetime | None = None
    level: Level = Level.HIGH
    flag: bool = False
    renamed: int = field(default=0, metadata={STORED: "old_name"})


FULL = Whole(
    parts=(Part("a", 2.5, (Color.RED,)), Part("b")),
    size=(2, "ü"),
    by_name={"c": Part("c")},
    best=Part("a"),
    data=b"\x00\xff",
    rate=Fraction(30000, 1001),
    at=datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
    flag=True,
    renamed=7,
)


@pytest.mark.parametrize("value", [Whole(), FULL])
def test_a_value_is_read_as_it_was_written(value):
    assert from_json(Whole, to_json(value)) == value


def test_values_have_one_form():
    stored = json.loads(to_json(FULL))
    assert (stored["old_name"], stored["data"], stored["rate"], stored["level"]) == (7, "AP8=", "30000/1001", 3)
    assert (stored["at"], stored["size"]) == ("2026-01-02T03:04:05.000006+00:00", [2, "ü"])
    assert "renamed" not in stored


def test_unknown_fields_are_dropped_and_missing_ones_take_their_defaults():
    part = {"name": "a", "later": 1}
    data = json.dumps({"parts": [part], "by_name": {"x": part}, "best": part, "renamed": 5, "later": {}}).encode()
    assert from_json(Whole, data) == Whole(parts=(Part("a"),), by_name={"x": Part("a")}, best=Part("a"))


def test_a_plain_mapping_is_a_value_too():
    assert from_json(dict[str, str], to_json({"a": "b"})) == {"a": "b"}


def test_a_whole_number_is_a_float_where_one_is_expected():
    assert from_json(Part, b'{"name": "a", "weight": 2}') == Part("a", 2.0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'"name"',
        b"\xff",
        b'{"parts": [{}]}',
        b'{"parts": {"name": "a"}}',
        b'{"parts": "ab"}',
        b'{"best": []}',
        b'{"best": {"name": 1}}',
        b'{"best": {"name": "a", "colors": ["blue"]}}',
        b'{"best": {"name": "a", "weight": "heavy"}}',
        b'{"by_name": []}',
        b'{"size": [1]}',
        b'{"data": 5}',
        b'{"data": "A"}',
        b'{"rate": "1/0"}',
        b'{"at": "yesterday"}',
        b'{"at": 5}',
        b'{"flag": null}',
        b'{"level": 4}',
    ],
)
def test_data_that_does_not_fit_is_one_kind_of_error(data):
    with pytest.raises(ValueError, match="the data is no Whole"):
        from_json(Whole, data)


def test_a_value_without_a_form_is_not_written():
    with pytest.raises(TypeError, match="object has no form"):
        to_json([object()])


@dataclass(frozen=True)
class Noted:
    notes: Mapping[str, int]


@dataclass(frozen=True)
class Many:
    notes: tuple[Noted, ...]
    number: int


class CountedNotes(Mapping):
    """Notes that count how often they are read."""

    def __init__(self):
        self.times = 0

    def __getitem__(self, key):
        return 1

    def __len__(self):
        return 1

    def __iter__(self):
        self.times += 1
        return iter(["a"])


def test_parts_that_stay_as_they_are_are_written_once():
    first, second = CountedNotes(), CountedNotes()
    kept = Noted(first)
    assert to_json(Many((kept, Noted(second)), 1)) == b'{"notes":[{"notes":{"a":1}},{"notes":{"a":1}}],"number":1}'
    for number in range(5):
        changed = to_json(Many((kept, Noted({"b": number})), number))
        assert changed == b'{"notes":[{"notes":{"a":1}},{"notes":{"b":%d}}],"number":%d}' % (number, number)
    assert (first.times, second.times) == (1, 1)


def test_parts_that_are_long_are_kept_for_a_while_only():
    long = "a" * 2**20
    first = Noted({"a": long})
    is_there = weakref.ref(first)
    to_json(Many((first,), 1))
    del first
    for number in range(20):
        to_json(Many((Noted({"a": long}),), number))
    assert is_there() is None


def test_what_is_made_ready_is_read_without_being_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Message:
        part: Part

    def made(kind: object) -> None:
        raise AssertionError(f"made again: {kind}")

    make_ready(Message)
    monkeypatch.setattr(RootModel, "__class_getitem__", made)
    assert from_json(Message, b'{"part":{"name":"a"}}') == Message(Part("a"))
