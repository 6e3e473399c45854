"""All pages."""

from server.web import (
    acquisitions,
    admin,
    alert_settings,
    alerts,
    audit,
    instruments,
    logbook,
    people,
    quality,
    records,
    schedules,
    service,
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
    people.router,
    audit.router,
    service.router,
)
