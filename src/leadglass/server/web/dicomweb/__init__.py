"""DICOMweb (PS3.18): each service a thin door to verbs of the archive."""
