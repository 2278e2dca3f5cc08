"""The doors. A door holds no logic: it parses, calls a verb of the archive, and answers."""
