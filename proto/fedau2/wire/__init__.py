"""Pure functions over numpy arrays and protobuf messages that both ends of the protocol need.

* `addresses`: addresses of coordinators, and which of them are on this machine
* `blobs`: hashes, chunks, checkpoints as safetensors
* `contributions`: turns a device's upload into bytes, and reads and checks it
* `fixed`: the fixed-point grid on which contributions are added
* `status`: the ways in which a call can be refused
* `methods`: a gRPC service's methods, read from its descriptor
* `manifest`, `plans`: read and check manifests, with the plans in them
* `item_axes`: along which axis of a tensor the items lie
* `secure`: contributions as integers that are only ever added up
* `identity`: certificates, keys and the public log of secure sums
* `succession`, `catalogues`: carry tensors over to another catalogue by item id, and compare catalogues
"""
