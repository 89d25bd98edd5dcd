"""Everything that lasts: the ledger, the round's log, blobs, and the folder that holds them."""
