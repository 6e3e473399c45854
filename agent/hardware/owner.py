"""Never two owners: hardware is loaded only when nobody else has it, and whoever has it is named.

An agent takes a lease; a program that called ``agent.attach`` has one as well. Studio and programs that know nothing
of leases are found by what they have loaded. All of it concerns real hardware only (`resources`).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.errors import HardwareInUseError
from agent.hardware.holder import Holder
from agent.hardware.lease import Lease
from agent.hardware.others import BRIDGE_PORT, bridge_answers, process_with_adapters, studio_process
from agent.hardware.resources import Resources, libraries_of, resources_of_settings
from agent.settings import AgentSettings, HardwareSettings

LOOK_S = 2.0
"""Pause between two looks of somebody who waits."""


def own_hardware(hardware: HardwareSettings, purpose: str, deadline_s: float | None = None) -> Lease:
    """Take the lease on the configured hardware; keep it until the hardware is let go.

    Call it in the process that will load the hardware, just before it does.

    Raises
    ------
    HardwareInUseError
        Somebody else has it; the message says who, and what to do.
    """
    resources = resources_of_settings(hardware)
    lease = Lease(purpose, deadline_s=deadline_s)
    try:
        lease.take(resources)
    except HardwareInUseError as error:
        raise HardwareInUseError(in_use(hardware, str(error))) from error
    if (holder := _stranger(hardware, resources)) is not None:
        lease.release()
        raise HardwareInUseError(in_use(hardware, str(holder)))
    return lease


def other_owner(hardware: HardwareSettings) -> str | None:
    """Return who has the configured hardware, in words; None when it is free."""
    resources = resources_of_settings(hardware)
    holder = Lease("").look(resources) or _stranger(hardware, resources)
    return in_use(hardware, str(holder)) if holder else None


def wait_until_free(
    hardware: HardwareSettings,
    wait_s: float,
    tell: Callable[[str], None] = lambda words: None,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Wait until nobody has the hardware, at most `wait_s`; `tell` hears once of each who has it.

    Raises
    ------
    HardwareInUseError
        Somebody still has it then.
    """
    deadline, told = clock() + wait_s, ""
    while (words := other_owner(hardware)) is not None:
        if clock() >= deadline:
            raise HardwareInUseError(words)
        if words != told:
            tell(words)
            told = words
        sleep(LOOK_S)


def waiting(settings: AgentSettings, wait_s: float | None) -> AgentSettings:
    """Return the settings with another wait for hardware that somebody else has; None leaves it."""
    if wait_s is None:
        return settings
    return settings.model_copy(update={"hardware": settings.hardware.model_copy(update={"wait_s": wait_s})})


def in_use(hardware: HardwareSettings, holder: str) -> str:
    """Return the refusal."""
    return (
        f"The hardware of {hardware.config_file} is in use: {holder}. End that first, or wait for it (--wait, or "
        "hardware.wait_s). If it has nothing to do with these devices, set hardware.look_for_owners = false."
    )


def _stranger(hardware: HardwareSettings, resources: Resources) -> Holder | None:
    """Return somebody who has the hardware and no lease."""
    if not resources or not hardware.look_for_owners:
        return None
    return process_with_adapters(libraries_of(resources)) or studio_process() or bridge_answers(BRIDGE_PORT)
