"""Whole machines: a Debian with its boot loader, init, sshd and kdump-tools, and with a BMC."""
