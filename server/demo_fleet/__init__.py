"""A fleet that does not exist: years of history of hundreds of simulated instruments, with faults whose truth is known."""
