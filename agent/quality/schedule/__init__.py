"""Quality control that runs by itself: schedules, the interlock, and the people it asks."""

from agent.quality.schedule.scheduler import FOLDER, Scheduler
from agent.quality.schedule.setup import scheduler_of

__all__ = ["FOLDER", "Scheduler", "scheduler_of"]
