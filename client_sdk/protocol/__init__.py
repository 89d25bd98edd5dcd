"""A device's side of a round, without I/O: the session, its wishes, and the drivers that carry them out."""
