"""The engine: llama.cpp behind an OpenAI-compatible API in its own process, its supervisor, and the bot's client.

It knows messages and tokens; it never knows Slack, the database or any secret but its own key.
"""
