"""The DICOM format: bounded incremental reader, Part 10, character sets, attributes (PS3.5, PS3.6, PS3.10)."""
