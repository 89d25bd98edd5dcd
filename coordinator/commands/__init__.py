"""The commands of `fedau2-coordinator`, a module for each family."""
