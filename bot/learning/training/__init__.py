"""The trainer: torch, peft and trl, in a process of its own that reads a run folder and writes an adapter."""
