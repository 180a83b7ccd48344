"""An answer's way out: streams, edits, posts, files; split, converted and made harmless."""
