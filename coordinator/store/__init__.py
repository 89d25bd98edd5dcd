"""Everything that survives a restart: the ledger, the round's log, blobs, and the folder that holds them."""
