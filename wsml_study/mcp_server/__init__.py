"""The MCP server: studies as tools of a language model's client, in one folder and without blocking."""
