"""The HTTP door: it parses, calls a service and renders the answer."""
