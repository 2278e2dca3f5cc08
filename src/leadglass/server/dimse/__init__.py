"""The DIMSE door: TLS connections, one thread each, that speak the association of `leadglass.dimse`."""
