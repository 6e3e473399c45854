"""The agent without the command line around it, as services run it: ``python -m agent.service --config FILE``."""

from __future__ import annotations

import sys


def main() -> int:
    """Run until a signal ends it; the exit code is 0, or 1 when it could not start or stop."""
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # its command line costs 5 MB; httpx does without
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
    sys.exit(main())
