"""Knocking as a stranger would. A probe takes an endpoint and the reach, and tells what it saw as observations."""
