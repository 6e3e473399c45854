"""What somebody may see of a store, topic by topic; `server.access.seeing` puts it together."""
