"""Reach a machine: this one, one behind ssh, or a directory that holds an image of one."""
