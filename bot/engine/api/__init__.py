"""OpenAI's API: from HTTP to requests of the engine, and back."""
