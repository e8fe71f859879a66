"""A run's model outside the workshop: as ONNX, in eight-bit integers, and as one page that opens in a browser."""
