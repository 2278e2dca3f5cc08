"""The web door: DICOMweb, viewer, console and sign-in, over HTTPS only."""
