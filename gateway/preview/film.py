"""The film of a job as it plays while it is made: those pieces that are there, from the first one on. Pure.

What plays, and in which bytes, the encoders told; here no medium is read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, islice

from apigpu.encoder.v1 import encoder_pb2
from apigpu.encoder.v1.encoder_pb2 import Playback
from gateway.jobs import further, names
from gateway.jobs.further import PlayedTask
from gateway.jobs.model import Job, ResultWarning, Status

MISSING = (
    "No preview could be made: the result does not consist of pieces that play. Ask for one of a story, or of a video "
    "of a minute or more with captions most of the time, and have encoders of this version alone."
)
CUT_SHORT = "The preview ends early: a piece of the film, of an encoder of another version, does not play as planned."


@dataclass(frozen=True)
class PlayedPiece:
    """A result that plays: its asset, its name as a file, and its header and segments, of which those before the
    `first` one played from the piece before."""

    asset: str
    filename: str
    playback: Playback
    first: int = 0

    @property
    def segments(self) -> Iterator[tuple[int, int, int]]:
        """Yield where each segment begins in the file, its bytes, and its milliseconds."""
        told = self.playback
        starts = accumulate(told.segment_bytes, initial=told.header_bytes)
        every = zip(starts, told.segment_bytes, told.segment_milliseconds, strict=False)
        return islice(every, self.first, None)

    @property
    def seconds(self) -> float:
        return sum(milliseconds for *_, milliseconds in self.segments) / 1000


@dataclass(frozen=True)
class PlayedTrack:
    """The pieces of picture or sound that are there, without a gap; `is_whole` once they are all."""

    pieces: tuple[PlayedPiece, ...]
    is_whole: bool

    @property
    def seconds(self) -> float:
        return sum(piece.seconds for piece in self.pieces)


@dataclass(frozen=True)
class PlayedFilm:
    """What of a film plays; `sound` is None where it has none. No segment is longer than `target_seconds`. It `is_over`
    once nothing more is to come, and `begins_with_sound` where that is made before the first picture."""

    picture: PlayedTrack
    sound: PlayedTrack | None
    target_seconds: int
    is_over: bool
    begins_with_sound: bool

    @property
    def has_begun(self) -> bool:
        """True once it can be played: its picture is there, and its sound too where that comes first."""
        return bool(self.picture.pieces) and (not self.begins_with_sound or self.is_heard or self.is_over)

    @property
    def is_whole(self) -> bool:
        return self.picture.is_whole and (self.sound is None or self.sound.is_whole)

    @property
    def is_heard(self) -> bool:
        """True once what plays lacks no sound that it is to have."""
        return bool(self.picture.pieces) and (self.sound is None or bool(self.sound.pieces))

    @property
    def ready_sound(self) -> PlayedTrack | None:
        """Return the sound where it can be heard already, all of it or from its start on."""
        return self.sound if self.sound is not None and self.sound.pieces else None


def film_of(job: Job) -> PlayedFilm | None:
    """Return what of a job's first result plays; None where nobody asked for it."""
    if not job.preview:
        return None
    tasks = list(further.playing(job, job.kept[0]))
    target = max((task.target_seconds for task in tasks), default=0)
    picture = _track(job, (task for task in tasks if task.plays == encoder_pb2.PLAYS_PICTURE), target)
    heard = [task for task in tasks if task.plays == encoder_pb2.PLAYS_SOUND]
    sound = _grown(_track(job, heard, target), len(heard)) if heard else None
    if sound is not None and not picture.is_whole:
        sound = PlayedTrack(tuple(_until(picture.seconds, sound.pieces)), is_whole=False)
    is_whole = picture.is_whole and (sound is None or sound.is_whole)
    is_over = is_whole or job.status.is_terminal
    return PlayedFilm(picture, sound, target, is_over, begins_with_sound=heard[:1] == tasks[:1])


def warning_of(job: Job) -> ResultWarning | None:
    """Return what is to be said of a preview that was asked for and lacks something; None where it does not."""
    film = film_of(job)
    if film is None or film.is_whole:
        return None
    return ResultWarning("NO_PREVIEW", CUT_SHORT if film.picture.pieces else MISSING)


def _track(job: Job, tasks: Iterable[PlayedTask], target_seconds: int) -> PlayedTrack:
    every = list(tasks)
    pieces = tuple(_pieces(job, every, target_seconds))
    return PlayedTrack(pieces, is_whole=bool(every) and len(pieces) == len(every))


def _pieces(job: Job, tasks: Iterable[PlayedTask], target_seconds: int) -> Iterator[PlayedPiece]:
    """Yield the pieces up to the first that is not there, or has a longer segment than players were told."""
    for played in tasks:
        task = job.tasks[played.number]
        if task.status is not Status.COMPLETED or not (task.asset and task.playback):
            return
        playback = Playback.FromString(task.playback)
        if (max(playback.segment_milliseconds, default=0) + 500) // 1000 > target_seconds:  # it counts rounded
            return
        yield PlayedPiece(task.asset, names.result_name(job, played.number), playback)


def _grown(sound: PlayedTrack, count: int) -> PlayedTrack:
    """Return sound of which each of so many pieces begins with the segments of the one before, as far as that is so."""
    pieces: list[PlayedPiece] = []
    for piece in sound.pieces:
        before = pieces[-1].playback if pieces else Playback(header_id=piece.playback.header_id)
        played = len(before.segment_milliseconds)
        is_more = piece.playback.segment_milliseconds[:played] == before.segment_milliseconds
        if not is_more or piece.playback.header_id != before.header_id:
            break
        pieces.append(replace(piece, first=played))
    return PlayedTrack(tuple(pieces), is_whole=len(pieces) == count)


def _until(seconds: float, pieces: Iterable[PlayedPiece]) -> Iterator[PlayedPiece]:
    """Yield the segments of sound that pictures are there for, to their ends: players would go on without pictures."""
    milliseconds = round(seconds * 1000)
    for piece in pieces:  # each of them from the start of the film on
        count = sum(end <= milliseconds for end in accumulate(piece.playback.segment_milliseconds))
        if count <= piece.first:
            return
        kept = Playback()
        kept.CopyFrom(piece.playback)
        del kept.segment_milliseconds[count:], kept.segment_bytes[count:]
        yield replace(piece, playback=kept)
