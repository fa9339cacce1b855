"""Plain forms of results, for a program and for a person: data, words and tables."""
