"""Jobs: what they are, where they are kept, how their tasks are run."""
