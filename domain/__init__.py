"""Pure rules: a state, a command and a time give facts or a refusal."""
