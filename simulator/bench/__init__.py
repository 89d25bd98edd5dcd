"""`fedau2-sim bench`: what a client costs, side by side with a naive loop, and what many sessions at once cost."""
