"""Plans of local updates and server steps: read, checked, and turned into messages."""
