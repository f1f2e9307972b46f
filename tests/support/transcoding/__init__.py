"""A service with every rule of google.api.http, and what becomes of requests to it."""
