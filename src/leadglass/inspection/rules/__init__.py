"""Our own YARA rules."""
