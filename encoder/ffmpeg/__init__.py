"""FFmpeg as a process: command lines, pipes, errors, filters."""
