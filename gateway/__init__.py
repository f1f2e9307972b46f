"""The gateway: the only thing a client sees."""
