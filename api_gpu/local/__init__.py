"""A gateway and an encoder on one machine."""
