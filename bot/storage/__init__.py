"""Tables and queries. Query functions take a session and never commit; `db.py` is the one place that does."""
