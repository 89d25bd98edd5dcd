"""What both ends of the protocol need: pure functions over numpy arrays and protobuf messages.

* `blobs`: hashes, chunks, checkpoints as safetensors
* `contributions`: a device's upload to bytes and back, checked
* `fixed`: the fixed-point grid on which contributions are added
* `status`: how a call can be refused
* `methods`: a gRPC service's methods, read from its descriptor
* `manifest`: what makes a manifest acceptable
"""
