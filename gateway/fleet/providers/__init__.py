"""Providers of encoders, one folder each."""
