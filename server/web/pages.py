"""All pages."""

from server.web import (
    acquisitions,
    admin,
    alert_settings,
    alerts,
    audit,
    compare,
    fleet,
    instruments,
    logbook,
    people,
    quality,
    records,
    schedules,
    search,
    service,
    sessions,
)

routers = (
    sessions.router,
    fleet.router,
    instruments.router,
    compare.router,
    search.router,
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
