"""Vast.ai: instances rented by the hour."""
