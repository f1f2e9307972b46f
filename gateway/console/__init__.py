"""The console: pages for people, as static files, which speak to the public JSON API alone (docs/guides/console.md)."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
