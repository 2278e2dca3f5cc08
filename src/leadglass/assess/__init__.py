"""Looking at a PACS as a stranger would: scope, discovery, probes, counting, findings, reports."""
