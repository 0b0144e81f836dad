"""The shell scripts that run inside guests: the first process of either kernel."""
