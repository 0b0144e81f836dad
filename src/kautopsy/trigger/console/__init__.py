"""A machine's console: reached, recorded with times, and understood."""
