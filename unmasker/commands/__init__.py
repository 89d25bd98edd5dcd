"""The commands of `fedau2-unmasker`. All but `serve` may be run while it serves."""
