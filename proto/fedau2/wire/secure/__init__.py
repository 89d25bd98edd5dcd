"""Secure sums: contributions as integers that are only ever added up (docs/secure-sums.md). Needs numpy alone.

* `policy`: checks what a manifest says of them
* `layout`: where everything lies in the vector of a contribution
* `quantise`: turns a contribution into that vector, or adds several to a sum without making their vectors
* `rounding`: turns the numbers of one tensor into integers of bounded norm
* `packing`: writes integers modulo 2^b, b bits each
* `closing`: the rows of a sum that too few devices touched
* `crowd`: how many devices share a row of the sum, and so whether one of them can be seen in it
* `context`: the hashes that bind a mask to its round, and a sum to its members
* `masks`: the stream of a mask's integers; needs `cryptography`
* `noise`: what is added to an opened sum, drawn exactly; needs `cryptography`
* `privacy`: the epsilon that the noise promises
* `masked`: a masked contribution as it travels; masking needs `cryptography`
* `opening`: what opens it, sealed to the unmasker's key of the round; needs `cryptography`
"""
