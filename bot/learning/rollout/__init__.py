"""Who gets which adapter, how the living one is watched, and how it is taken back."""
