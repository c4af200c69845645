"""Who may do what: registration, heartbeat keys, the admin key."""
