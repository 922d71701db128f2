"""The plain rows of a source, decided many at once; what is strange is handed to the reference rules, row by row."""
