"""What people said becomes examples: chosen, cleaned, split, and written down with their origin."""
