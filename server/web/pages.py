"""All pages."""

from server.web import acquisitions, admin, instruments, logbook, quality, records, schedules, sessions

routers = (
    sessions.router,
    instruments.router,
    acquisitions.router,
    quality.router,
    logbook.router,
    schedules.router,
    records.router,
    admin.router,
)
