"""Report: what happened, with pictures."""
