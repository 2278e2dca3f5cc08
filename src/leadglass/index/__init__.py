"""The SQL catalogue: what is in the archive, where it lies, and what happened to it (docs/formats/index.md)."""
