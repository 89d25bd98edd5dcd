"""Builds task bundles: from a recommender, its items and a plan to a manifest, a checkpoint and ONNX graphs.

* `bundle`: the bundle itself: build, write, read
* `planfile`: plans from YAML files and from keyword arguments; the paper's values stand here
* `graphs`: PyTorch functions to weightless ONNX graphs
* `step`: the training graph, from the kernel; `parity`: the two beside each other; `exporter`: how graphs are made
* `signing`: publishers' keys and signatures
* `verify`: checks a bundle and compares its graphs with PyTorch
* `describe`: a bundle in words
* `cli`: `fedau2-export`
"""
