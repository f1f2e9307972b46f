"""API keys that were made by the service: their records, and who calls with one."""
