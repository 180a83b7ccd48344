"""What the assistant does with a message: words, rows and the engine's client; no Slack and no llama.cpp."""
