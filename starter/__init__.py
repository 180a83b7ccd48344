"""The recipe of the starter model: text, tokenizer, training, export and evaluation. The bot never imports it."""
