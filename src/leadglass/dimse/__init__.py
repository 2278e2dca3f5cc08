"""The conversation: PDUs, the association's state machine and DIMSE messages (PS3.7, PS3.8), without input or output.

`association` is the core for both roles, `requestor` a thin blocking shell around it for whoever calls another archive.
"""
