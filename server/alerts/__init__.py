"""Alerts: rules over what instruments tell or fail to tell, what fires now, and who is told."""
