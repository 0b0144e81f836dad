"""Dump files: sniff a container, read its headers, say what is missing, open it with drgn."""
