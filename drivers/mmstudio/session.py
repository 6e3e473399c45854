"""One connection to one life of Studio."""

from __future__ import annotations

import logging

from drivers.errors import BridgeError, JavaError, StudioAwayError
from drivers.mmstudio.allowed import CORE_CLASS, LISTENER_CLASS, STUDIO_CLASS, Reach
from drivers.mmstudio.bridge import KNOWN_VERSIONS, Bridge
from drivers.mmstudio.face import StudioFace
from drivers.mmstudio.options import StudioOptions
from drivers.mmstudio.views import CoreView, ListenerView, StudioView, View

_log = logging.getLogger("scopestamp.drivers")


class Session:
    """A Studio that answers, and the way in which it is seen.

    Attributes
    ----------
    bridge : Bridge
    face : StudioFace
    view : View
    listener : ListenerView or None
        The same as `view` where our listener is installed.
    """

    def __init__(self, bridge: Bridge, face: StudioFace, view: View) -> None:
        self.bridge, self.face, self.view = bridge, face, view
        self.listener = view if isinstance(view, ListenerView) else None

    @classmethod
    def open(cls, options: StudioOptions) -> Session:
        """Connect to a running Studio.

        Raises
        ------
        StudioAwayError
            Nobody answers.
        BridgeError
            Who answers is no Studio.
        """
        reach = Reach.CORE_HARDWARE if options.core_polling else Reach.STUDIO
        bridge = Bridge(options.port, options.timeout_s, reach)
        try:
            _greet(bridge)  # first what leaves nothing behind: an own port that nobody hears of stays open
            return cls._open(bridge, options)
        except JavaError as error:
            bridge.close()
            raise BridgeError(
                f"What answers on port {options.port} is no Micro-Manager Studio, perhaps a core without it: {error}"
            ) from error
        except BridgeError:
            bridge.close()
            raise

    @classmethod
    def _open(cls, bridge: Bridge, options: StudioOptions) -> Session:
        studio = bridge.construct(STUDIO_CLASS)
        face = StudioFace(bridge, studio)
        if bridge.has_class(LISTENER_CLASS):
            return cls(bridge, face, ListenerView(bridge.construct(LISTENER_CLASS), studio))
        if options.core_polling:
            return cls(bridge, face, CoreView(bridge.construct(CORE_CLASS), face))
        return cls(bridge, face, StudioView(face))

    def close(self, *, is_alive: bool) -> None:
        """Let go of everything; a Studio that is gone is not told."""
        if is_alive:
            try:
                self.view.release()
                self.face.release()
            except StudioAwayError:
                _log.info("Micro-Manager Studio went away while it was let go of.")
        self.bridge.close()


def _greet(bridge: Bridge) -> None:
    version = bridge.connect()
    if not version.startswith(KNOWN_VERSIONS):
        _log.warning(
            "The bridge of this Micro-Manager is version %s; known is %sx. If captures lack something, report both.",
            version,
            KNOWN_VERSIONS[0],
        )
