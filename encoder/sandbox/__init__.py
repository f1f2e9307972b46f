"""Sandboxes: FFmpeg reads files of strangers, so it runs where it can reach nothing else."""
