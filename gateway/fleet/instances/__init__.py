"""Rented instances: their record, the registry of them, their credentials."""
