"""All pages."""

from server.web import acquisitions, admin, instruments, records, sessions

routers = (sessions.router, instruments.router, acquisitions.router, records.router, admin.router)
