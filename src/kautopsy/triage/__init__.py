"""What went wrong: one detector per way to die, and the verdict that weighs their findings."""
