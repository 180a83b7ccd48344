"""llama.cpp's low-level API: the only room that imports llama_cpp, whose functions change between versions."""
