"""Files, keys and tables: the state folder, the database, the log, holders of certificates, and rounds."""
