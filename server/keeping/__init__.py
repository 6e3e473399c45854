"""Looking after the store: backup, copies, checkpoints, retention, schema versions, verification."""
