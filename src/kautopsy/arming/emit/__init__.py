"""The same plan for other tools: a module a format."""
