"""What instruments were used for, and what a facility is to be named by."""
