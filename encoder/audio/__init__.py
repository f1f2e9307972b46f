"""Soundtracks: loudness, mixing, fades."""
