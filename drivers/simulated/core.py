"""pymmcore-plus' core for Python devices, with the gaps of version 0.18 filled.

Plain `UniMMCore` (experimental) loads the same devices, but does not open the auto-shutter for a Python camera, knows no
pixel size of a Python objective turret, names no Python device as the core's camera or stage, has no autofocus in Python,
keeps stale cache entries, sends no `propertyChanged` for Python devices and raises KeyError where C++ devices give RuntimeError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drivers.mmcore.loading import fenced_import

with fenced_import():
    from pymmcore_plus import Keyword
    from pymmcore_plus.experimental.unicore import UniMMCore

AUTOFOCUS = Keyword.CoreAutoFocus
ROLES = {
    "Camera": "getCameraDevice",
    "Shutter": "getShutterDevice",
    "Focus": "getFocusDevice",
    "XYStage": "getXYStageDevice",
    "AutoFocus": "getAutoFocusDevice",
}


class SimulatedCore(UniMMCore):
    """A `UniMMCore` whose Python devices behave as C++ ones do."""

    _closes_after_sequence = False

    def setCameraDevice(self, cameraLabel: str) -> None:
        # Choosing the same camera again would first announce that there is none.
        if cameraLabel != self.getCameraDevice():
            super().setCameraDevice(cameraLabel)

    # ---- properties

    def getDevicePropertyNames(self, label: str) -> tuple[Any, ...]:
        return tuple(str.__str__(name) for name in super().getDevicePropertyNames(label))

    def getProperty(self, label: str, propName: str) -> Any:
        if label == "Core" and propName in ROLES:
            return getattr(self, ROLES[propName])()
        try:
            return super().getProperty(label, propName)
        except KeyError as error:
            raise RuntimeError(str(error)) from error

    def getPropertyFromCache(self, deviceLabel: str, propName: str) -> Any:
        if deviceLabel == "Core" and propName in ROLES:
            return getattr(self, ROLES[propName])()
        try:
            return super().getPropertyFromCache(deviceLabel, propName)
        except KeyError as error:
            raise RuntimeError(str(error)) from error

    def setProperty(self, label: str, propName: str, propValue: Any) -> None:
        if not self.isPyDevice(label):
            super().setProperty(label, propName, propValue)
            return
        try:
            super().setProperty(label, propName, self._as_declared(label, propName, propValue))
        except KeyError as error:
            raise RuntimeError(str(error)) from error
        self._tell(label, propName)

    def setState(self, stateDeviceLabel: str, state: int) -> None:
        super().setState(stateDeviceLabel, state)
        self._refresh_state(stateDeviceLabel)

    def setStateLabel(self, stateDeviceLabel: str, stateLabel: str) -> None:
        super().setStateLabel(stateDeviceLabel, stateLabel)
        self._refresh_state(stateDeviceLabel)

    def setExposure(self, *args: Any) -> None:
        super().setExposure(*args)
        camera = args[0] if len(args) > 1 else self.getCameraDevice()
        if self.isPyDevice(camera):
            self.getProperty(camera, "Exposure")

    def waitForDevice(self, label: str) -> None:
        try:
            super().waitForDevice(label)
        except TimeoutError as error:
            raise RuntimeError(str(error)) from error

    def _as_declared(self, label: str, name: str, value: Any) -> Any:
        """Return text as the whole number that an integer property allows: configuration files hold text alone."""
        is_integer = self.hasProperty(label, name) and self.getPropertyType(label, name).name == "Integer"
        return int(value) if is_integer and isinstance(value, str) and value.isdigit() else value

    def _tell(self, label: str, name: str) -> None:
        value = self.getProperty(label, name)  # also puts the device's own value into the cache
        if name in ("State", "Label"):
            self._refresh_state(label)  # state devices emit by themselves
        else:
            self.events.propertyChanged.emit(label, name, str(value))

    def _refresh_state(self, label: str) -> None:
        if self.isPyDevice(label):
            for name in ("State", "Label"):
                if self.hasProperty(label, name):
                    self.getProperty(label, name)

    # ---- autofocus

    def setAutoFocusDevice(self, autofocusLabel: str) -> None:
        super().setAutoFocusDevice(self._set_current_if_pydevice(AUTOFOCUS, autofocusLabel))

    def getAutoFocusDevice(self) -> str:
        return self._pycore.current(AUTOFOCUS) or super().getAutoFocusDevice()

    def fullFocus(self) -> None:
        if (autofocus := self._py_autofocus()) is None:
            super().fullFocus()
            return
        with autofocus:
            autofocus.full_focus()
        self._tell_focus()

    def incrementalFocus(self) -> None:
        if self._py_autofocus() is None:
            super().incrementalFocus()
        else:
            self.fullFocus()

    def getLastFocusScore(self) -> float:
        autofocus = self._py_autofocus()
        return super().getLastFocusScore() if autofocus is None else autofocus.last_focus_score()

    def getCurrentFocusScore(self) -> float:
        autofocus = self._py_autofocus()
        return super().getCurrentFocusScore() if autofocus is None else autofocus.last_focus_score()

    def enableContinuousFocus(self, enable: bool) -> None:
        if (autofocus := self._py_autofocus()) is None:
            super().enableContinuousFocus(enable)
            return
        with autofocus:
            autofocus.follow(enable)
        self._tell_focus()

    def isContinuousFocusEnabled(self) -> bool:
        autofocus = self._py_autofocus()
        return super().isContinuousFocusEnabled() if autofocus is None else autofocus.is_following()

    def isContinuousFocusLocked(self) -> bool:
        autofocus = self._py_autofocus()
        return super().isContinuousFocusLocked() if autofocus is None else autofocus.is_following()

    def _py_autofocus(self) -> Any:
        label = self._pycore.current(AUTOFOCUS)
        return self._pydevices[label] if label else None

    def _tell_focus(self) -> None:
        if drive := self.getFocusDevice():
            self.events.stagePositionChanged.emit(drive, self.getPosition(drive))

    # ---- pixel size

    def getCurrentPixelSizeConfig(self, cached: bool = False) -> Any:
        found = super().getCurrentPixelSizeConfig(cached)
        read = self.getPropertyFromCache if cached else self.getProperty
        for name in () if found else self.getAvailablePixelSizeConfigs():
            settings = list(self.getPixelSizeConfigData(name))
            if settings and all(str(read(device, prop)) == str(value) for device, prop, value in settings):
                return name
        return found

    def getPixelSizeUm(self, cached: bool = False) -> float:
        name = self.getCurrentPixelSizeConfig(cached)
        if not name:
            return 0.0
        return self.getPixelSizeUmByID(name) * self._binning() / self.getMagnificationFactor()

    def getPixelSizeAffine(self, cached: bool = False) -> Any:
        name = self.getCurrentPixelSizeConfig(cached)
        if not name:
            return (0.0,) * 6
        factor = self._binning() / self.getMagnificationFactor()
        return tuple(factor * element for element in self.getPixelSizeAffineByID(name))

    def _binning(self) -> float:
        camera = self.getCameraDevice()
        has_binning = camera and self.hasProperty(camera, "Binning")
        return float(self.getProperty(camera, "Binning")) if has_binning else 1.0

    # ---- auto-shutter

    def snapImage(self) -> None:
        if not self._works_the_shutter():
            super().snapImage()
            return
        self.setShutterOpen(True)
        try:
            super().snapImage()
        finally:
            self.setShutterOpen(False)

    def startSequenceAcquisition(self, *args: Any) -> None:
        self._start_lit(super().startSequenceAcquisition, args)

    def startContinuousSequenceAcquisition(self, *args: Any) -> None:
        self._start_lit(super().startContinuousSequenceAcquisition, args)

    def stopSequenceAcquisition(self, *args: Any) -> None:
        camera = self._py_camera(*args)
        if hasattr(camera, "break_off"):  # the core itself would wait for 2 s and go on without its thread
            camera.break_off()
        super().stopSequenceAcquisition(*args)
        self._close_after_sequence()

    def isSequenceRunning(self, *args: Any) -> bool:
        is_running = super().isSequenceRunning(*args)
        if not is_running:
            self._close_after_sequence()  # a burst that ended by itself
        return is_running

    def _works_the_shutter(self) -> bool:
        return (
            self.getAutoShutter()
            and bool(self.getShutterDevice())
            and self.isPyDevice(self.getCameraDevice())
        )

    def _start_lit(self, start: Callable[..., None], args: tuple[Any, ...]) -> None:
        opens = self._works_the_shutter()
        if opens:
            self.setShutterOpen(True)
        start(*args)
        # Only now: whoever asks meanwhile whether a sequence runs must not end the light of one that begins.
        self._closes_after_sequence = opens

    def _close_after_sequence(self) -> None:
        if self._closes_after_sequence:
            self._closes_after_sequence = False
            if self.getShutterDevice():
                self.setShutterOpen(False)
