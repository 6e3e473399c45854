"""Quality control over time: runs in series, control charts, and what may have made a figure step."""
