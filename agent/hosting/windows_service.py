"""The program of the Windows service: ``python -m agent.hosting.windows_service --config FILE --data FOLDER``.

Only the service control manager can start it. Session 0, in which services live, has no desktop: dialogues of device
drivers never show, mapped network drives are not there (name shares as ``\\\\server\\share``), and mouse and keyboard of the
person at the PC cannot be seen from it.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from agent.errors import ScopestampError
from agent.hosting.order import NAME, STOP_S, TITLE
from agent.hosting.priority import step_back
from agent.service.run import options, run_agent

if sys.platform == "win32":
    import servicemanager
    import win32service
    import win32serviceutil

    class AgentService(win32serviceutil.ServiceFramework):
        """Answers the service control manager; the agent runs on the service's own thread."""

        _svc_name_ = NAME
        _svc_display_name_ = TITLE

        def __init__(self, args: Any) -> None:
            super().__init__(args)
            self._ended = threading.Event()

        def SvcStop(self) -> None:
            """Take SERVICE_CONTROL_STOP."""
            self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING, waitHint=STOP_S * 1000)
            self._ended.set()

        SvcShutdown = SvcStop

        def SvcDoRun(self) -> None:
            """Run the agent until it is told to stop; what keeps it from starting goes to the event log."""
            try:
                step_back()
                run_agent(*options(sys.argv[1:]), self._ended)
            except ScopestampError as error:
                servicemanager.LogErrorMsg(f"The Scopestamp agent did not start: {error}")
                raise SystemExit(1) from error

    def main() -> None:
        """Hand over to the service control manager."""
        servicemanager.Initialize()
        servicemanager.PrepareToHostSingle(AgentService)
        servicemanager.StartServiceCtrlDispatcher()

else:

    def main() -> None:
        """Say where this belongs."""
        raise ScopestampError(
            "This program is for Windows; elsewhere the service runs 'python -m agent.service'."
        )


if __name__ == "__main__":
    main()
