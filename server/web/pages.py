"""All pages."""

from server.web import (
    acquisitions,
    admin,
    alert_settings,
    alerts,
    instruments,
    logbook,
    quality,
    records,
    schedules,
    sessions,
)

routers = (
    sessions.router,
    instruments.router,
    acquisitions.router,
    quality.router,
    logbook.router,
    schedules.router,
    records.router,
    alerts.router,
    alert_settings.router,
    admin.router,
)
