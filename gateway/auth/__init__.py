"""Authentication by API key, with a rate limit for each key."""
