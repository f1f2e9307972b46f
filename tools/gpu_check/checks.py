"""The checks, in their order: the cheap ones that explain the others come first."""

from tools.gpu_check import decoding, limits, machine, pictures, splicing
from tools.gpu_check.finding import Check

CHECKS: dict[str, Check] = {
    "machine": Check("What is here?", machine.machine, 30),
    "doctor": Check("Does the encoder find its card?", machine.doctor, 90),
    "clip": Check("Is a clip of 30 frames a second what it should be?", pictures.clip, 120),
    "times": Check("Are uneven frames and odd sizes kept?", pictures.times, 120),
    "splice": Check("Do its frames stand among those of another encoder?", splicing.splice_h264, 120),
    "splice-hevc": Check("Do those of H.265 stand among the ones of another encoder?", splicing.splice_hevc, 180),
    "formats": Check("What do the headers say, and does a level hold the bits back?", pictures.formats, 240),
    "sessions": Check("How many sessions are there at once, and do tasks wait for one?", limits.sessions, 120),
    "sandboxes": Check("In which sandbox does the card decode?", decoding.sandboxes, 120),
    "decoding": Check("Is decoding on the card exact, and does it pay?", decoding.worth, 300),
    "memory": Check("Is the card's memory as it was after many tasks?", limits.memory, 240),
    "cards": Check("Does each card work by itself?", machine.each_card, 180),
}
"""By name."""
