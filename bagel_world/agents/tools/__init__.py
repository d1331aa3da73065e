"""The world as tools: one definition of each, for LangChain, for plain JSON schema, for MCP."""
