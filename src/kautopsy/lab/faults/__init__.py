"""Ways for a guest to die: a kernel module of scenes, what each of them is, and its player."""
