"""The commands of `fedau2-sim`, a module for each."""
