"""Webhooks: what happens to jobs is told to URLs of their callers, signed, until it arrives or a day is over."""
