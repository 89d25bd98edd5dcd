"""Messages and wire helpers that both ends of FedAU2 share."""
