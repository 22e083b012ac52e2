"""The day as Prefect flows: one module per stage, no business rule."""
