"""A finished assessment, told to people and to programs. Nothing here looks at a network."""
