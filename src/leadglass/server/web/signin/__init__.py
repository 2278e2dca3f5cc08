"""Signing in and out, and setting up what one signs in with."""
