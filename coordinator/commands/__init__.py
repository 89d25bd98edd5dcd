"""The commands of `fedau2-coordinator`, one module for each family of commands."""
