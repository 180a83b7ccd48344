"""What the assistant does with a message: no Slack and no llama.cpp in here, only words, rows and the engine's client."""
