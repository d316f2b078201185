"""What the demo city is made of: data and its makers, deterministic, so that a second start finds the first again."""
