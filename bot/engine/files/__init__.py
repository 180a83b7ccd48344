"""Model files: headers read without trust, inspection, quantization."""
