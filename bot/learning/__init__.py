"""What the team taught during the day becomes an adapter at night, proven before anybody sees it."""
