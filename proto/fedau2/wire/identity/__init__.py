"""Identities in secure sums: what devices, unmaskers and auditors must read, sign and check in the same way.

* `signing`: Ed25519 keys; needs `cryptography`
* `certificate`: the certificate of a device
* `enrolment`: what a device signs to get one, and what the unmasker signs for its authority
* `round_key`: the key of a round
* `checks`: whether certificates and keys are signed as they must be
* `log`: the unmasker's public log
* `audit`: the rules that a whole log must keep
* `services`: the methods of the unmasker
"""
