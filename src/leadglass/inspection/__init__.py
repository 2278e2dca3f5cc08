"""Bytes in, Verdict out."""
