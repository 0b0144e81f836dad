"""Dumps → reports: each once, whatever dies meanwhile.

``jobs``     leases: the store knows who analyses what, and until when
``analyse``  one dump in one isolated child → a named outcome; what a Dask worker runs
``cluster``  Dask: workers of our own on this machine, or a scheduler's; the same code
``run``      the coordinator: claims jobs, hands them to Dask, stores what comes back
"""
