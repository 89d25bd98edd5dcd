"""Builds task bundles: from a recommender, its items and a plan to a manifest, a checkpoint and ONNX graphs.

* `bundle`: the bundle itself: build, write, read
* `plan`: plans from YAML files and from keyword arguments, with the paper's values
* `exporter`: makes ONNX graphs without weights of PyTorch functions
* `graphs`: the graphs that recommend; `step`: the graph that trains
* `parity`: compares the training graph with the kernel
* `signing`: publishers' keys and signatures
* `verify`: checks a bundle and compares its graphs with PyTorch
* `describe`: prints a bundle
* `cli`: `fedau2-export`
"""
