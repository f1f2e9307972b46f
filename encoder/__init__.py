"""The encoder: takes one task over a stream, runs FFmpeg on it, and streams the result back."""
