"""The commands of `fedau2-sim`, one module each."""
