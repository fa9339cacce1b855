"""Every measurement of a project, kept in SQLite."""
