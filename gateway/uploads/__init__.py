"""Uploads that go on where they were cut: their records, their writers, and what becomes of those that are left."""
