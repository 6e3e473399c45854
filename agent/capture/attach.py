"""One line in a user's program, over pymmcore-plus or Pycro-Manager: ``agent.attach(core)``."""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.capture.setup import options_of, stated_by
from agent.capture.worker import Capture
from agent.errors import CaptureError, HardwareError
from agent.hardware.lease import Lease
from agent.hardware.resources import resources_of
from agent.local import Local
from agent.outbox import Outbox
from agent.settings import load_settings

if TYPE_CHECKING:
    from drivers import Driver, Hardware

AT_EXIT_S = 10.0
_log = logging.getLogger("scopestamp.capture")
_attaching = threading.Lock()
_attached: weakref.WeakKeyDictionary[object, Attachment] = weakref.WeakKeyDictionary()


def attach(core: Any, *, config: str | Path | None = None, data_dir: str | Path | None = None) -> Attachment:
    """Capture everything that happens on `core` from now on.

    The core stays yours: it is watched, never moved, and no core is ever created. Records are written to a spool
    of this process, from which the agent's daemon (``scopestamp run``) sends them; without a daemon they wait there.

    Parameters
    ----------
    core : CMMCorePlus or Pycro-Manager's Core()
        The core of your program. Attaching to it again returns the same attachment.
    config : path, optional
        An agent.toml, as ``scopestamp run`` reads it; defaults when omitted.
    data_dir : path, optional
        Where the agent keeps its identity and spool; overrides the configuration.

    Returns
    -------
    Attachment
        Call its `detach` to stop; at the end of the process that is done for you.

    Raises
    ------
    CaptureError
        `core` is no core, or one in a Java process.
    SettingsError, IdentityError, SpoolError
        The configuration is wrong, or the data folder cannot be used.
    """
    driver = _driver_of(core)
    with _attaching:
        if (attachment := _attached.get(core)) is None:
            attachment = _attached[core] = _attach(core, driver, config, data_dir)
    return attachment


def _driver_of(core: Any) -> Callable[[Any], Driver]:
    """Return what makes the driver of a core.

    Whoever has a core has imported the package it comes from, so we need not.
    """
    if (plus := sys.modules.get("pymmcore_plus")) is not None and isinstance(core, plus.CMMCorePlus):
        from drivers.mmcore import MMCoreDriver

        return MMCoreDriver
    from drivers.mmpython import PythonBackendDriver, is_java_core, is_python_core

    if is_python_core(core):
        return PythonBackendDriver
    if is_java_core(core):
        raise CaptureError(
            "This core lives in a Java process. A program cannot watch it from outside without waiting for its "
            "exposures; set [hardware] driver = \"mmstudio\" and start 'scopestamp run', which attaches to Studio."
        )
    raise CaptureError(
        "attach() wants the core of your program: a CMMCorePlus, such as CMMCorePlus.instance(), or Pycro-Manager's "
        f"Core(); got {core.__name__ if isinstance(core, type) else 'a ' + type(core).__name__}."
    )


def _attach(
    core: Any,
    make_driver: Callable[[Any], Driver],
    config: str | Path | None,
    data_dir: str | Path | None,
) -> Attachment:
    from drivers.mmcore import release_callback_at_exit

    settings = load_settings(Path(config) if config else None)
    local = Local.open(settings, Path(data_dir) if data_dir else None)
    lease = Lease(f"{Path(sys.argv[0]).name or 'python'}, which called agent.attach")
    capture = Capture(
        _leased(make_driver(core), lease),
        local.outbox,
        local.mint,
        local.data_dir,
        options_of(settings),
        stated_by(settings.instrument, local.clock.wall_at()),
    )
    capture.start()
    release_callback_at_exit(core)

    def forget() -> None:
        lease.release()
        _attached.pop(core, None)

    return Attachment(capture, local.outbox, forget)


def _leased(driver: Driver, lease: Lease) -> Driver:
    """Have the lease follow what is loaded, so that no agent loads it beside us.

    The program is the user's: when somebody else has its hardware, that is said, and nothing is refused.
    """
    describe = driver.describe

    def described() -> Hardware:
        hardware = describe()
        try:
            holder = lease.follow(resources_of(hardware))
        except HardwareError as error:
            _log.warning("%s", error)
        else:
            if holder is not None:
                _log.warning("The hardware of this program is in use elsewhere, too: %s.", holder)
        return hardware

    driver.describe = described  # type: ignore[method-assign]
    return driver


class Attachment:
    """A core that is being captured.

    Attributes
    ----------
    capture : Capture
        The capture, with its counters.
    """

    def __init__(self, capture: Capture, outbox: Outbox, forget: Callable[[], object]) -> None:
        self.capture = capture
        self._outbox = outbox
        self._forget = forget
        self._is_attached = True
        atexit.register(self.detach, AT_EXIT_S)

    @property
    def is_attached(self) -> bool:
        """Whether the core is still being captured."""
        return self._is_attached

    def settle(self, timeout_s: float = 30.0) -> bool:
        """Wait until all that happened so far is on disk; return whether that came in time."""
        return self.capture.settle(timeout_s)

    def detach(self, timeout_s: float = 30.0) -> bool:
        """Stop capturing; return whether everything was closed in time.

        What was not, such as hashing a large dataset, is done by the next agent that starts.
        """
        if not self._is_attached:
            return True
        self._is_attached = False
        atexit.unregister(self.detach)
        is_done = self.capture.stop(timeout_s)
        self._outbox.close()
        self._forget()
        return is_done
