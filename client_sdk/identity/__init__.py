"""A device's part of identities in secure sums: the unmaskers that it trusts, its keys, and its certificates."""
