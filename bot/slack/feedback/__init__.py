"""What people think of answers beside the thumbs: reactions, what they show, what got better, what others may teach."""
