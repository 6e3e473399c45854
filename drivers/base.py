"""The contract of every hardware back end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.events import HardwareEvent
from drivers.readings import Hardware, How, Key, PropertyReading

if TYPE_CHECKING:  # the agent's daemon knows the contract and never sees an image
    import numpy as np
    from numpy.typing import NDArray

Listener = Callable[[HardwareEvent], bool]
"""Takes an event and returns whether it had room for it.

Called on the hardware's own threads: it must return at once and never raise. What an event that found no room had to
tell, such as the state of a frame, the driver tells again with the next.
"""


class Driver(ABC):
    """Watches one instrument without disturbing it."""

    @property
    def is_present(self) -> bool:
        """Whether there is an instrument to watch now.

        One that comes later is told as `ConfigurationLoaded`, one that goes as `InstrumentLeft`; while it is away the driver
        is busy, and what is read of it has failed.
        """
        return True

    @property
    def reads_hardware(self) -> bool:
        """Whether `read` can ask devices; where it cannot, the cache is all there is."""
        return True

    @abstractmethod
    def describe(self) -> Hardware:
        """Return everything that is loaded.

        Called on the agent's threads at start and after every `ConfigurationLoaded`. May read hardware once
        per property (limits, allowed values); never moves anything.
        """

    @abstractmethod
    def keys(self) -> tuple[Key, ...]:
        """Return everything `read` can be asked for, in the order of the last `describe`."""

    @abstractmethod
    def read(self, key: Key, how: How) -> PropertyReading:
        """Return one reading, from ``How.HARDWARE`` or ``How.CACHE``.

        Never raises for what a device does: a failure is a reading with its status. From hardware it may
        block as long as the device does (an exposure, a hung serial line); the caller is a thread that may wait.
        """

    @abstractmethod
    def is_busy(self) -> bool:
        """Return whether reading hardware would disturb: frames are being taken, or a configuration is loading.

        Called on the agent's own threads before every read; during a planned acquisition it never blocks.
        """

    @abstractmethod
    def listen(self, listener: Listener) -> None:
        """Send every event to `listener` from now on. At most one listener; asking again for the same is harmless."""

    @abstractmethod
    def stop_listening(self) -> None:
        """Send no further event. Harmless when nobody listens."""

    def look_around(self) -> None:  # noqa: B027 - a driver that is told everything has nothing to do
        """Notice what nothing announces, such as a device that was loaded by itself, and send its events.

        Called on the poller's thread before each of its rounds, while nothing is busy.
        """

    def close(self) -> None:
        """Let go of the instrument, and stop listening."""
        self.stop_listening()


class OwningDriver(Driver):
    """A driver that loaded the hardware itself, and so may move it."""

    @abstractmethod
    def set_property(self, key: Key, value: str) -> None:
        """Set a property and wait until the device is ready. Raises `DriverError` in the device's own words."""

    @abstractmethod
    def set_preset(self, group: str, preset: str) -> None:
        """Set a configuration group to a preset and wait. Raises `DriverError`."""

    @abstractmethod
    def move(self, position_um: Mapping[str, float], timeout_s: float) -> None:
        """Move the current stages and wait until they stand; `x`, `y` and `z`, those that are left out stay.

        Blocks. Raises `DriverError` when there is no such stage, it refuses, it has not arrived in `timeout_s`, or it is
        cancelled on its way; it is told to stop then.
        """

    @abstractmethod
    def focus(self) -> float:
        """Let the current autofocus find focus once; return the score it gives itself.

        Blocks for as long as the device takes. Raises `DriverError` when there is none or it gives up.
        """

    @abstractmethod
    def snap(self, exposure_ms: float) -> NDArray[np.generic]:
        """Take one frame with everything as it stands, and return it, (y, x); it is written nowhere.

        The exposure stays set. Raises `DriverError`, also when it is cancelled.
        """

    @abstractmethod
    def last_frame(self) -> NDArray[np.generic] | None:
        """Return the newest frame of an acquisition, or None before the first. Touches no hardware; not a copy."""

    @abstractmethod
    def bit_depth(self) -> int:
        """Return how many bits the camera uses. Raises `DriverError`."""

    @abstractmethod
    def acquire(self, sequence: Mapping[str, Any], output: Path | None) -> None:
        """Run a useq-schema sequence to its end, writing to `output` (.ome.zarr or .ome.tiff).

        Blocks; call it on a thread of its own. Its ``metadata`` may hold ``settle_s``, the time to wait after the stages
        have come to each of its positions, one number for each, and ``settle_z_s``, that after each move of the focus
        drive from plane to plane. Raises `AcquisitionError` when it cannot start or ends
        in an error, `CameraSilentError` when that is a camera without frames.
        """

    @abstractmethod
    def cancel(self) -> None:
        """Ask a running `acquire`, `snap` or `move` to end now: exposures are broken off, and stages stop where they are.

        Returns at once. A camera that cannot be told to stop ends its exposure first, behind a shutter that is closed. What
        has not begun yet may not be reached: ask again until it has ended.
        """

    @abstractmethod
    def close(self) -> None:
        """Unload the devices and let go of the library, so that the process can end cleanly."""
