"""What can go wrong, by name: each fault turns one truth into another and touches nothing else.

>>> from drivers.simulated.truth import Truth
>>> FAULTS["backlash grown"].apply(Truth()).stage.x.backlash_um
3.0
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from drivers.simulated.truth import YX, ZYX, Truth


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong."""

    name: str
    description: str
    apply: Callable[[Truth], Truth]


def objective_damaged(truth: Truth) -> Truth:
    pupil = replace(
        truth.pupil, astigmatism_nm=85.0, astigmatism_angle_deg=25.0, coma_nm=60.0, coma_angle_deg=70.0
    )
    return replace(truth, pupil=pupil)


def correction_collar_off(truth: Truth) -> Truth:
    return replace(
        truth, pupil=replace(truth.pupil, coverslip_error_um=truth.pupil.coverslip_error_um + 40.0)
    )


def wrong_immersion(truth: Truth) -> Truth:
    return replace(truth, pupil=replace(truth.pupil, immersion_index_error=-0.012))


def chromatic_shift(truth: Truth) -> Truth:
    def worse(yx: YX) -> YX:
        return 4 * yx[0], 4 * yx[1]

    channels = tuple(
        replace(
            channel,
            lateral_shift_yx_um=worse(channel.lateral_shift_yx_um),
            axial_shift_um=4 * channel.axial_shift_um,
        )
        for channel in truth.channels
    )
    return replace(truth, channels=channels)


def misaligned_illumination(truth: Truth) -> Truth:
    return replace(truth, illumination=replace(truth.illumination, centre_yx=(-0.55, 0.70), width=0.75))


def lamp_aged(truth: Truth) -> Truth:
    light = replace(truth.light, hours=12_000.0, flicker=0.02, warm_up_fraction=0.2, nonlinearity=0.15)
    return replace(truth, light=light)


def lamp_unstable(truth: Truth) -> Truth:
    return replace(truth, light=replace(truth.light, flicker=0.06))


def line_fading(truth: Truth) -> Truth:
    channels = tuple(
        replace(channel, full_power_mw=0.6 * channel.full_power_mw) if channel.label == "Cy5" else channel
        for channel in truth.channels
    )
    return replace(truth, channels=channels)


def backlash_grown(truth: Truth) -> Truth:
    stage = truth.stage
    x, y = (replace(axis, backlash_um=10 * axis.backlash_um) for axis in (stage.x, stage.y))
    return replace(truth, stage=replace(stage, x=x, y=y))


def stage_worn(truth: Truth) -> Truth:
    stage = truth.stage
    x, y = (replace(axis, repeatability_um=1.5, settling_time_s=0.5) for axis in (stage.x, stage.y))
    return replace(truth, stage=replace(stage, x=x, y=y))


def focus_drifts(truth: Truth) -> Truth:
    def faster(zyx: ZYX) -> ZYX:
        return zyx[0] + 150.0, zyx[1], zyx[2]

    drift = replace(
        truth.drift,
        initial_zyx_nm_per_min=faster(truth.drift.initial_zyx_nm_per_min),
        steady_zyx_nm_per_min=faster(truth.drift.steady_zyx_nm_per_min),
    )
    return replace(truth, drift=drift)


def weak_reflection(truth: Truth) -> Truth:
    return replace(truth, stage=replace(truth.stage, focus_lock_um=0.6))


def focus_drive_off(truth: Truth) -> Truth:
    z = replace(truth.stage.z, scale_error=0.09, backlash_um=0.6)
    return replace(truth, stage=replace(truth.stage, z=z))


def camera_defect(truth: Truth) -> Truth:
    return replace(truth, sensor=replace(truth.sensor, n_hot=60, n_dead=20, n_blinking=40))


def camera_gain_off(truth: Truth) -> Truth:
    modes = tuple(replace(mode, gain_e_per_adu=1.3 * mode.gain_e_per_adu) for mode in truth.sensor.modes)
    return replace(truth, sensor=replace(truth.sensor, modes=modes))


def sensor_window_dusty(truth: Truth) -> Truth:
    return replace(truth, sensor=replace(truth.sensor, n_dust=40))


def light_leak(truth: Truth) -> Truth:
    return replace(truth, sensor=replace(truth.sensor, stray_light_e_per_s=60_000.0))


def tube_lens_displaced(truth: Truth) -> Truth:
    objectives = tuple(replace(lens, distortion=lens.distortion + 0.03) for lens in truth.objectives)
    return replace(truth, objectives=objectives)


def camera_warm(truth: Truth) -> Truth:
    sensor = truth.sensor
    return replace(truth, sensor=replace(sensor, dark_current_e_per_s=40 * sensor.dark_current_e_per_s))


def slide_tilted(truth: Truth) -> Truth:
    return replace(truth, geometry=replace(truth.geometry, slide_tilt_yx=(0.006, -0.011)))


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("objective damaged", "front lens hit: astigmatism and coma", objective_damaged),
        Fault(
            "correction collar off", "set for a cover glass 40 um thinner than it is", correction_collar_off
        ),
        Fault("wrong immersion", "oil whose index is 0.012 too low", wrong_immersion),
        Fault("chromatic shift", "channels four times further apart", chromatic_shift),
        Fault("misaligned illumination", "field lit off-centre and unevenly", misaligned_illumination),
        Fault("lamp aged", "12 000 h: weaker, restless, slow to warm up, bent", lamp_aged),
        Fault("lamp unstable", "an arc that wanders: 6 % from one frame to the next", lamp_unstable),
        Fault("Cy5 line fading", "40 % less light of one line, the others as ever", line_fading),
        Fault("backlash grown", "ten times the backlash in x and y", backlash_grown),
        Fault("stage worn", "repeatability 1.5 um, settles slowly", stage_worn),
        Fault("focus drifts", "150 nm per minute more in z", focus_drifts),
        Fault("weak reflection", "cover glass dirty: the focus lock scatters by 0.6 um", weak_reflection),
        Fault("focus drive off", "steps in z 9 % too long, backlash 0.6 um", focus_drive_off),
        Fault("camera defect", "60 hot, 20 dead and 40 blinking pixels", camera_defect),
        Fault("camera warm", "cooling off: forty times the dark current", camera_warm),
        Fault("camera gain off", "30 % more electrons per count than on the data sheet", camera_gain_off),
        Fault("sensor window dusty", "40 specks", sensor_window_dusty),
        Fault("light leak", "60 000 e-/s in every pixel, shutter closed or not", light_leak),
        Fault("tube lens displaced", "3 % more distortion at the field's edge", tube_lens_displaced),
        Fault("slide tilted", "slide not seated in its holder", slide_tilted),
    )
}


def with_faults(truth: Truth, names: Iterable[str]) -> Truth:
    """Return `truth` with these faults, applied in the order of `FAULTS`."""
    wanted = set(names)
    if unknown := wanted - FAULTS.keys():
        raise ValueError(f"There is no fault {sorted(unknown)}; there are: {', '.join(FAULTS)}.")
    for name, fault in FAULTS.items():
        if name in wanted:
            truth = fault.apply(truth)
    return truth
