"""Is the candidate better than what is served? Figures from the engine, and a gate that decides from figures alone."""
