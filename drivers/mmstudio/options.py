"""How to watch a Studio."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.mmstudio.bridge import MAIN_PORT, TIMEOUT_S


@dataclass(frozen=True)
class StudioOptions:
    """How to watch a Studio.

    Attributes
    ----------
    port : int
        Of its server (Tools > Options > Run server on port).
    core_polling : bool
        Whether the core may be called from outside where our listener is not installed. Studio crashes when it is closed
        while such a call is under way.
    interval_s : float
        Studio is looked at this often.
    state_interval_s : float
        The cached state is compared this often while nothing is acquired.
    timeout_s : float
        A request that takes longer is given up.
    retry_s : float
        A Studio that is not there is looked for this often.
    core_log : str
        Micro-Manager's log file, or the folder of its log files; empty: not read.
    """

    port: int = MAIN_PORT
    core_polling: bool = False
    interval_s: float = 0.25
    state_interval_s: float = 1.0
    timeout_s: float = TIMEOUT_S
    retry_s: float = 3.0
    core_log: str = ""
