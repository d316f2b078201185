"""The web pages' door: it serves the built pages and nothing else."""
