"""Both programs, the same dumps, the same commands: which fields are equal, and who is right."""
