"""Looking for oneself: crash commands, Python and SQL on a dump."""
