"""Deploying workers to providers."""
