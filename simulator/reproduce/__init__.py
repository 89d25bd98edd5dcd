"""`fedau2-sim reproduce`: every experiment of the FedAU2 paper with one command."""
