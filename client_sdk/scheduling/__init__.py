"""When a device checks in: pace, constraints, and the thread that works in the background."""
