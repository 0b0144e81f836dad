"""The commands, a module each; what is complete in drgn's crash mode is declared together."""
