"""The proxies that the JSON surface is held against."""
