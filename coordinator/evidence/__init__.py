"""Ways in which a device shows that it is one of the app's. `provider` has the interface."""
