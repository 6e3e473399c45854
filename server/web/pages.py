"""All pages."""

from server.web import acquisitions, admin, instruments, quality, records, sessions

routers = (
    sessions.router,
    instruments.router,
    acquisitions.router,
    quality.router,
    records.router,
    admin.router,
)
