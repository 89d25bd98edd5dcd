"""Rules without I/O: the state machine of a round, pace steering, admission by version, and a task's values."""
