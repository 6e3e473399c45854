"""A running Micro-Manager Studio, seen from outside over its ZMQ bridge."""
