"""Simulated phones, watchers and scenarios that talk only over the wire."""
