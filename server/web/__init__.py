"""What people look at: pages rendered here, without a line of script."""
