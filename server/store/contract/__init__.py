"""What a store is asked and told, topic by topic; `server.store.base` puts it together."""
