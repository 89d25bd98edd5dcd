"""A web page for operators: a process of its own, which calls a coordinator as the other commands do. Needs `web`."""
