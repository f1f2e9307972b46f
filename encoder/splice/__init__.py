"""Splice: encoded runs of frames that stand between the untouched packets of a film."""
