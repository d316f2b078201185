"""Pure rules: (state, command, now) -> facts or a Refusal. No I/O, no clock, no async, nothing above imported."""
