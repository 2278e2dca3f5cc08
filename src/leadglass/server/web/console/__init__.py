"""The console: pages for people, each a thin door to verbs of the archive."""
