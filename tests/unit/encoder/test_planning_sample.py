"""The sample that a spare process plans: it must need all that usual videos need, which is got ready by it."""

import io

import av

from encoder.planning.spare import FRAMES, sample


def test_the_sample_has_pictures_and_sound() -> None:
    with av.open(io.BytesIO(sample())) as container:
        assert len(list(container.decode(video=0))) == FRAMES
    with av.open(io.BytesIO(sample())) as container:
        heard = [frame.to_ndarray() for frame in container.decode(audio=0)]
    assert heard
    assert not any(frame.any() for frame in heard)
