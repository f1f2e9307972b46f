"""The operations, by the name of their field in apigpu.v1.Operation."""

from encoder.operations import (
    addaudio,
    caption,
    caption_join,
    caption_piece,
    concat,
    frame,
    img2vid,
    probe,
    story,
    story_join,
    story_scene,
    story_sound,
    story_splice,
    thumbnail,
)
from encoder.operations.plan import Operation

OPERATIONS: dict[str, Operation] = {
    "caption": caption.plan,
    "img2vid": img2vid.plan,
    "addaudio": addaudio.plan,
    "concat": concat.plan,
    "thumbnail": thumbnail.plan,
    "story": story.plan,
    "probe": probe.plan,
    "frame": frame.plan,
}

STORY_PARTS: dict[str, Operation] = {
    "scene": story_scene.plan,
    "reel": story_scene.plan,
    "spliced_scene": story_splice.plan,
    "sound": story_sound.plan,
    "join": story_join.plan,
    "caption_piece": caption_piece.plan,
    "caption_join": caption_join.plan,
    "frame": frame.plan_part,
}
"""The tasks that a film goes on with, by the name of their field in apigpu.encoder.v1.StoryPart."""
