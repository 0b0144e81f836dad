"""What comes in: files and directories of this machine, uploads, reports of hosts.

``sniff``      what a file is, by its content
``origin``     which host a file is of
``clock``      the stamps of consoles and syslogs → seconds since 1970
``logs``       a log of any size → sightings, in flat memory
``documents``  reports, doctor's answers and drills as JSON
``ingest``     a file → the store, once; a directory, file by file
``watch``      a directory that fills: half-written files are waited for
``upload``     files over the network: resumable, limited, checked
``unpack``     compressed files and archives, in a confined child
``edge``       a host's small report ahead of its dump: known, new, or "send the dump"
``retention``  what of all that is kept
"""
