"""Messages to tokens and text to answers: templates, reasoning, calls of functions, grammars."""
