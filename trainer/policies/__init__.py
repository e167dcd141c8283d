"""Pure decisions: options and state go in, the next state and what to do come out. No I/O, no clock."""
