"""The service as tools for language models, by the Model Context Protocol; see docs/guides/mcp.md."""
