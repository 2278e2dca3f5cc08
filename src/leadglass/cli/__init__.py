"""The command line: one file for each group of commands. Options and output are a contract (docs/design.md)."""
