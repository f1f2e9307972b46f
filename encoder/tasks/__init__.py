"""One task: inputs, work folder, run, result."""
