"""Send: due messages leave through a messenger, each in exactly one state."""
