"""What each step computes and what is remembered: pure plans on plain data, no llama.cpp."""
