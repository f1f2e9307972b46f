"""Captions as an ASS script: style, fonts, karaoke."""
