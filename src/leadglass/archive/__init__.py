"""The verbs of the archive: store, query, retrieve, review, import … Each takes a Principal, authorises and records."""
