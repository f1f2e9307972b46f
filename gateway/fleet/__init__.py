"""Rented encoders: who rents them, when, and what they cost."""
