"""The composition root: settings, wiring, lifespan, command line and demo."""
