"""Decode, transcode and render pixels, only ever inside sandboxed worker processes (docs/adr/0005-sandbox.md)."""
