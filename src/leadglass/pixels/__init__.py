"""Decoding, rendering and transcoding of pixels: only inside a sandboxed worker pool."""
