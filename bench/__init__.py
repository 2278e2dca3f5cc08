"""Leadglass and its peers side by side: `python -m bench --help` from the repository's root."""
