"""Every measurement and conversion of a project, kept in SQLite."""
