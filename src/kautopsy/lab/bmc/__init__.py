"""A machine's BMC: OpenIPMI's simulator, taught to send an NMI, and joined to QEMU."""
