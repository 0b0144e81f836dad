"""The fire drill: a machine is crashed on purpose, and everything that must follow is checked."""
