"""Servers: a world that programs elsewhere can step into. So far one that speaks MCP."""
