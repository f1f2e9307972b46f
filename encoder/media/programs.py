"""Programs of an MPEG transport stream: which streams belong together.

Source: ISO/IEC 13818-1, 2.4.4 (program specific information).
"""

from collections.abc import Iterator
from pathlib import Path

PACKET_BYTES, SYNC = 188, 0x47
# Packets of a disc have four bytes of time before them, of some receivers sixteen of correction behind.
STRIDES = (188, 192, 204)
# Tables are repeated ten times a second: they stand in the beginning of any stream.
READ_BYTES = 8 * 1024 * 1024
MAX_PROGRAMS = 256
PAT_PID, PAT_TABLE, PMT_TABLE = 0, 0, 2
CHECKSUM_BYTES = 4
STARTS, HAS_ADAPTATION = 0x40, 0x20


def read_programs(path: Path) -> tuple[frozenset[int], ...]:
    """Return the identifiers (PIDs) of the streams of each program; none where the tables are not found."""
    with path.open("rb") as file:
        data = file.read(READ_BYTES)
    maps = {pid for table in _sections(data, {PAT_PID}) for pid in _program_maps(table)}
    found: dict[int, frozenset[int]] = {}
    for table in _sections(data, maps):
        if table[0] == PMT_TABLE and len(found) < MAX_PROGRAMS:
            found[_number(table, 3)] = frozenset(_streams(table))
    return tuple(found.values())


def _program_maps(table: bytes) -> Iterator[int]:
    """Yield the identifiers under which the maps of programs come."""
    if table[0] != PAT_TABLE:
        return
    for place in range(8, len(table) - CHECKSUM_BYTES - 3, 4):
        if _number(table, place):  # 0 is that of the network's own table
            yield _number(table, place + 2) & 0x1FFF


def _streams(table: bytes) -> Iterator[int]:
    """Yield the identifiers of the streams of a program."""
    place = 12 + (_number(table, 10) & 0x0FFF)
    while place + 5 <= len(table) - CHECKSUM_BYTES:
        yield _number(table, place + 1) & 0x1FFF
        place += 5 + (_number(table, place + 3) & 0x0FFF)


def _sections(data: bytes, pids: set[int]) -> Iterator[bytes]:
    """Yield the first section of each packet that begins one, put together of those that follow."""
    open_sections: dict[int, bytearray] = {}
    for packet in _packets(data):
        pid = _number(packet, 1) & 0x1FFF
        if pid not in pids:
            continue
        payload = packet[5 + packet[4] :] if packet[3] & HAS_ADAPTATION else packet[4:]
        if packet[1] & STARTS:
            open_sections[pid] = bytearray(payload[1 + payload[0] :]) if payload else bytearray()
        elif pid in open_sections:
            open_sections[pid] += payload
        section = open_sections.get(pid, b"")
        if len(section) >= 12 and len(section) >= (size := 3 + (_number(section, 1) & 0x0FFF)) >= 12:
            yield bytes(open_sections.pop(pid)[:size])


def _packets(data: bytes) -> Iterator[bytes]:
    stride, start = _find_sync(data)
    while stride and start + PACKET_BYTES <= len(data):
        if data[start] == SYNC:
            yield data[start : start + PACKET_BYTES]
            start += stride
        else:  # damaged: as a reader of it, go on with the next packet
            start = data.find(SYNC, start + 1)
            if start < 0:
                return


def _find_sync(data: bytes) -> tuple[int, int]:
    """Return the bytes from packet to packet, and where the first one begins; zeros where there are none."""
    for start in range(min(len(data), STRIDES[-1] + PACKET_BYTES)):
        for stride in STRIDES:
            places = range(start, min(start + 5 * stride, len(data)), stride)
            if len(places) > 1 and all(data[place] == SYNC for place in places):
                return stride, start
    return 0, 0


def _number(data: bytes | bytearray, place: int) -> int:
    """Return the two bytes at a place as a number, as far as they are there."""
    return int.from_bytes(data[place : place + 2], "big")
