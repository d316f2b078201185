"""The Socket.IO door: three namespaces that carry what changed, positions and presence."""
