"""The guard at the door: one Great Expectations suite per canonical feed."""
