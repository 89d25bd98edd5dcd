"""ONNX Runtime on the device: graphs are inspected and bound before they train or recommend."""
