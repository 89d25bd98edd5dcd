"""Reports for users about their data: statements with codes, and texts in several languages."""
