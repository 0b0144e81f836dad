"""Whether a machine can leave a dump, and what it takes."""
