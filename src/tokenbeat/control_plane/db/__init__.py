"""Where the control plane keeps what it was told: one schema for SQLite and PostgreSQL."""
