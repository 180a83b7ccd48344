"""Pictures on their way into a prompt: decoded where nothing can happen, cut into sights, and computed once."""
