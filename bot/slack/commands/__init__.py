"""What people order with words: the table, its words and buttons, and each command."""
