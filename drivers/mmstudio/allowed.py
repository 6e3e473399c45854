"""What may be called in somebody else's Micro-Manager Studio.

Everything else is refused before it is sent. The list is short on purpose, and nothing on it sets, starts, moves or
shows anything. Of ``register_core_callback`` above all nothing may ever be sent: it takes MMCore's only callback slot, after
which Studio is deaf to its own hardware and later crashes.

Three circles:

- `STUDIO`: Studio's own objects, whose answers are fields that Studio keeps; none of them enters the core.
- `CORE_CACHE`: calls of the core seen not to wait for an exposure. Whoever is inside the core while Studio closes crashes
  Studio, so they are for the user to allow.
- `CORE_HARDWARE`: calls of the core that wait for the lock of an adapter library, and so for an exposure: only
  while nothing is being acquired.
"""

from __future__ import annotations

from enum import IntEnum

from drivers.errors import ForbiddenCallError
from drivers.mmstudio.wire import Handle

STUDIO_CLASS = "org.micromanager.Studio"
CORE_CLASS = "mmcorej.CMMCore"
SETTINGS_CLASS = "org.micromanager.acquisition.SequenceSettings"
TEXT_CLASS = "java.lang.String"
LISTENER_CLASS = "scopestamp.StudioListener"


class Reach(IntEnum):
    """How deep calls from outside may go."""

    STUDIO = 0
    CORE_CACHE = 1
    CORE_HARDWARE = 2


CLASSES = {
    STUDIO_CLASS: Reach.STUDIO,
    LISTENER_CLASS: Reach.STUDIO,
    SETTINGS_CLASS: Reach.STUDIO,
    TEXT_CLASS: Reach.STUDIO,
    CORE_CLASS: Reach.CORE_CACHE,
}

_PROVIDER = {"getSavePath", "getName", "getNumImages", "isFrozen", "getSummaryMetadata"}
STUDIO = {
    STUDIO_CLASS: {
        *("acquisitions", "live", "displays", "cache", "compat", "profile"),
        *("getSysConfigFile", "isProgramRunning"),
    },
    "org.micromanager.CompatibilityInterface": {"getVersion"},
    "org.micromanager.UserProfile": {"getProfileName"},
    "org.micromanager.acquisition.AcquisitionManager": {
        *("isAcquisitionRunning", "isPaused", "getAcquisitionSettings"),
    },
    "org.micromanager.SnapLiveManager": {"isLiveModeOn"},
    "org.micromanager.display.DisplayManager": {"getActiveDataViewer", "getAllDataViewers"},
    "org.micromanager.display.DataViewer": {"getDataProvider", "getName"},
    "org.micromanager.data.DataProvider": _PROVIDER,
    "org.micromanager.data.Datastore": _PROVIDER,
    "org.micromanager.data.internal.DefaultSummaryMetadata": {"toPropertyMap"},
    "org.micromanager.internal.propertymap.DefaultPropertyMap": {"toJSON"},
    "org.micromanager.internal.MMCache": {
        *("getCameraLabel", "getShutterLabel", "getXYStageLabel", "getZStageLabel"),
        *("getStageX", "getStageY", "getStageZ", "getPixelSizeUm", "getImageBitDepth"),
    },
    "java.util.List": {"size", "get"},
    LISTENER_CLASS: {"attach", "drain", "state", "describe", "read", "close"},
}
"""By class or interface: methods of Studio's own objects (recordings s01, s02, s04, s06, s07)."""

CORE_CACHE = {
    CORE_CLASS: {
        *("getVersionInfo", "getAPIVersionInfo", "getPrimaryLogFile"),
        *("getCameraDevice", "getLoadedDevices", "getDeviceType"),
        *("getSystemStateCache", "getPropertyFromCache", "getCurrentConfigFromCache"),
        *("getAvailableConfigGroups", "getRemainingImageCount", "isBufferOverflowed", "getAutoShutter"),
    },
    "mmcorej.Configuration": {"getVerbose"},
    "mmcorej.StrVector": {"size", "get"},
    "mmcorej.DeviceType": {"toString"},
}
"""Calls of the core seen not to wait for an exposure (recording h15)."""

CORE_HARDWARE = {
    CORE_CLASS: {
        *(
            "getProperty",
            "getPosition",
            "getXPosition",
            "getYPosition",
            "getExposure",
            "getROI",
            "getPixelSizeUm",
        ),
        *("getCurrentConfig", "isSequenceRunning", "getImageWidth", "getImageHeight", "getBytesPerPixel"),
        *("getNumberOfCameraChannels", "getDeviceLibrary", "getDeviceName", "getDeviceDescription"),
        *("getParentLabel", "getStateLabels", "getDevicePropertyNames", "getPropertyType", "hasProperty"),
        *("hasPropertyLimits", "getPropertyLowerLimit", "getPropertyUpperLimit", "getAllowedPropertyValues"),
        *("isPropertyReadOnly", "isPropertyPreInit", "isPropertySequenceable"),
        *("getAvailableConfigs", "getConfigData", "getAvailablePixelSizeConfigs", "getPixelSizeUmByID"),
    },
    "mmcorej.PropertyType": {"toString"},
    "java.awt.Rectangle": {"toString"},
}
"""Reads of the core that wait for the lock of an adapter library, and so for the end of an exposure."""

STATIC = {SETTINGS_CLASS: {"toJSONStream"}, TEXT_CLASS: {"join"}}
"""Static methods that read an object we hold."""

FIELDS = {"java.awt.Rectangle": {"x", "y", "width", "height"}}


def refuse_class(classpath: str, reach: Reach) -> None:
    """Raise `ForbiddenCallError` unless an object or class of this name may be asked for."""
    if CLASSES.get(classpath, reach + 1) > reach:
        raise ForbiddenCallError(
            f"{classpath} is not asked for: it is not on the list of what is safe in Studio."
        )


def refuse_method(target: Handle, name: str, reach: Reach) -> None:
    """Raise `ForbiddenCallError` unless this method may be called on this object."""
    circles = (STUDIO, CORE_CACHE, CORE_HARDWARE)[: reach + 1]
    if not any(name in circle.get(kind, ()) for circle in circles for kind in target.types):
        raise ForbiddenCallError(
            f"{target.java_class}.{name} is not called: it is not on the list of what is safe in Studio"
            + (" while it acquires." if reach < Reach.CORE_HARDWARE else ".")
        )


def refuse_static(classpath: str, name: str) -> None:
    """Raise `ForbiddenCallError` unless this static method may be called."""
    if name not in STATIC.get(classpath, ()):
        raise ForbiddenCallError(
            f"{classpath}.{name} is not called: it is not on the list of what is safe in Studio."
        )


def refuse_field(target: Handle, name: str) -> None:
    """Raise `ForbiddenCallError` unless this field may be read."""
    if not any(name in FIELDS.get(kind, ()) for kind in target.types):
        raise ForbiddenCallError(
            f"{target.java_class}.{name} is not read: it is not on the list of what is safe."
        )
