"""The agent without the command line around it, as services run it: ``python -m agent.service --config FILE``."""

from __future__ import annotations

import sys

from agent.leave import end, end_at_once

NOT_NEEDED = ("httpx._main", "trio")
"""What httpx loads where it is installed and does without: its command line, 5 MB, and another event loop, 4 MB."""


def main() -> int:
    """Run until a signal ends it; the exit code is 0, or 1 when it could not start or stop."""
    for name in NOT_NEEDED:
        sys.modules[name] = None  # type: ignore[assignment]
    from agent.errors import ScopestampError
    from agent.packages import refuse_foreign_packages
    from agent.service.run import ended_by_signal, options, run_agent

    try:
        refuse_foreign_packages()
        with ended_by_signal() as ended:
            return run_agent(*options(sys.argv[1:]), ended)
    except ScopestampError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    end_at_once()
    end(main())
