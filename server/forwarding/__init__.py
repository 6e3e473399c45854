"""From a collector to the one above it: push only, signed, filtered by the site's policy, without loops."""
