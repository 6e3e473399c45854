"""Records to the standards' files: pure functions of what was published."""
