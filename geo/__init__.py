"""Pure geometry over WGS 84 and time."""
