"""The published marts: written by `publish`, read by everybody else through `marts`."""
