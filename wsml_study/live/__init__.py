"""The live page: a server of all studies of a folder or bucket, on this machine alone."""
