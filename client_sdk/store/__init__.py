"""A client's state in a folder: a SQLite database, cached blobs, and a lock."""
