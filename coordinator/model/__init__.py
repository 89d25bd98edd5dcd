"""Pure rules of a round, without I/O: its state machine, pace steering, and admission by version."""
