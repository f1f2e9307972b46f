"""What a picture is to those that stand before and behind it, and where a run of new frames may begin and end. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]
Kinds = npt.NDArray[np.uint8]
Marks = npt.NDArray[np.bool_]

# Of a packet without a picture.
NONE = 0
# It may refer to others.
PLAIN = 1
# A decoder begins anew with it, and all behind it that is shown later can be decoded: IDR, and BLA of H.265.
ANEW = 2
# Likewise, but what was decoded before and not shown yet is dropped.
DROPPING = 3
# CRA of H.265: the same where nothing stands before it. Else pictures that are shown before it may refer to what does.
CRA = 4
# Pictures of H.265 that follow one of these and are shown before it. The first kind needs nothing that stands before.
DECODABLE_LEADING = 5
SKIPPED_LEADING = 6


class MissingPictures(ValueError):
    """Some pictures of a video are not shown, as decoders skip them."""


@dataclass(frozen=True)
class Places:
    """Of packets, in the order of decoding: those with which a decoder begins `anew`, and with CRA pictures all `keys`;
    and the places before which a run may end (`exits`). Before some of these, the CRA picture that `moved` names is to
    be put, from its place before the pictures that lead to it and are part of the run. Behind pictures of another video
    the first one `drops` those that were not shown yet."""

    anew: Marks
    keys: Marks
    exits: Marks
    moved: Mapping[int, int]
    drops: bool = False


def find_places(kinds: Kinds, shown: Times, clean: Marks) -> Places:
    """Return the places among pictures of these kinds, and times at which they are shown. Raises MissingPictures."""
    anew = kinds == ANEW
    anew[0] |= kinds[0] == DROPPING  # there is nothing yet that it could drop
    cra = np.flatnonzero(kinds == CRA)
    keys = anew | (kinds == CRA)
    _check_shown(kinds, keys)
    exits = anew & clean
    followers = np.append(np.flatnonzero(kinds < DECODABLE_LEADING), len(kinds))
    ends = followers[np.searchsorted(followers, cra, "right")] - 1
    latest = np.maximum.accumulate(shown)
    earliest = np.append(np.minimum.accumulate(shown[::-1])[::-1], np.iinfo(np.int64).max)
    is_whole = (latest[ends] == shown[cra]) & (earliest[ends + 1] > shown[cra])
    moved = dict(zip(ends[is_whole].tolist(), cra[is_whole].tolist(), strict=True))
    exits[list(moved)] = True
    return Places(anew, keys, exits, moved, bool(kinds[0] == DROPPING))


def _check_shown(kinds: Kinds, keys: Marks) -> None:
    """Raise MissingPictures for pictures that decoders drop, and for those that refer to what stands before a picture
    with which decoders begin anew."""
    if (kinds[1:] == DROPPING).any():
        raise MissingPictures("it has pictures with which decoders drop others that were not shown yet")
    skipped = np.flatnonzero(kinds == SKIPPED_LEADING)
    before = np.maximum.accumulate(np.where(keys, np.arange(len(kinds)), -1))[skipped]
    if (before < 0).any() or (kinds[before] != CRA).any():
        raise MissingPictures("it has pictures that decoders skip")


def first_key(anew: Marks, keys: Marks, shown: Times, first: int, earliest: int) -> int:
    """Return the packet with which a decoder is to begin for pictures from the packet `first` on, of which the earliest
    is shown then."""
    able = anew[: first + 1] | (keys[: first + 1] & (shown[: first + 1] <= earliest))
    return int(np.flatnonzero(able)[-1])
