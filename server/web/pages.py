"""All pages."""

from server.web import acquisitions, admin, instruments, logbook, quality, records, sessions

routers = (
    sessions.router,
    instruments.router,
    acquisitions.router,
    quality.router,
    logbook.router,
    records.router,
    admin.router,
)
