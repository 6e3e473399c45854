"""Who may come in and what they may see: people, agents, their keys, roles and scopes."""
