"""The commands of `api-gpu`, a file for each operation, and one for each other concern."""
