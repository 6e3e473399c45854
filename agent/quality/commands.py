"""``scopestamp qc``: list, show, analyse, run, history, baseline. What is imported inside is what takes time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from agent.quality.history import History
    from agent.records import QcResult
    from qc_routines.protocols import Protocol
    from qc_routines.routine import Routine

EXIT_FAILED_VERDICT = 3
EXITS = "Exit codes: 0 pass, warn or unknown; 3 the verdict is fail; 1 an error; 2 wrong use."

app = typer.Typer(no_args_is_help=True, help=f"Measure how well the microscope performs. {EXITS}")
baseline_app = typer.Typer(no_args_is_help=True, help="Time zero: the run that later ones are compared with.")
app.add_typer(baseline_app, name="baseline")

Name = Annotated[str, typer.Argument(metavar="ROUTINE", help="Name of a routine; 'qc list' shows them.")]
Config = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).")]
Data = Annotated[Path | None, typer.Option("--data", help="Data folder; overrides the settings.")]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="The result as the record that is published; how a run goes as JSON lines on stderr."
    ),
]
Reference = Annotated[
    Path | None, typer.Option("--reference", help="The field at time zero (illumination_change).")
]
Every = Annotated[bool, typer.Option("--all", help="Show the figures without a limit, too.")]
Na = Annotated[float | None, typer.Option("--na", help="Numerical aperture of the objective.")]
Immersion = Annotated[str, typer.Option("--immersion", help="air, water, oil … or a refractive index.")]
Emission = Annotated[
    str, typer.Option("--emission-nm", help="Emission wavelength; one for each channel: 460,520.")
]
Excitation = Annotated[str, typer.Option("--excitation-nm", help="Excitation wavelength, likewise.")]
Voxel = Annotated[str, typer.Option("--voxel-um", help="Voxel size Z,Y,X or Y,X, um.")]
Bead = Annotated[float | None, typer.Option("--bead-um", help="Diameter of the beads, um.")]
ModeName = Annotated[str, typer.Option("--mode", help="widefield, confocal, spinning disk or multiphoton.")]
Further = Annotated[
    list[str] | None, typer.Option("--set", help="NAME=VALUE: anything else; may be repeated.")
]
Limits = Annotated[Path | None, typer.Option("--limits", help="Limits of this instrument (TOML).")]


@app.command("list")
def list_routines() -> None:
    """Show the routines: what each measures, which slide it wants, how long it takes, how often it is due."""
    from agent.quality.show import catalogue_table
    from qc_routines.catalogue import ROUTINES

    console = _console()
    console.print(catalogue_table((routine, _example_protocol(routine)) for routine in ROUTINES.values()))
    console.print(
        "[dim]Minutes of psf and registration: NA 1.4 oil. 'qc show ROUTINE' tells more.[/]", highlight=False
    )


@app.command()
def show(name: Name, limits_file: Limits = None) -> None:
    """Show a routine: what to do, its figures, its limits and where they are from."""
    from agent.quality.assess import limits, routine_named
    from agent.quality.show import show_routine

    routine = routine_named(name)
    show_routine(routine, _example_protocol(routine), limits(limits_file), _console())


@app.command(help=f"Measure images that exist: OME-Zarr, OME-TIFF, TIFF; or a .csv of numbers. {EXITS}")
def analyse(
    name: Name,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="What to measure.")],
    dark: Annotated[Path | None, typer.Option("--dark", help="Dark frames.")] = None,
    bright: Annotated[Path | None, typer.Option("--bright", help="Frames of even light (defects).")] = None,
    channel: Annotated[str, typer.Option("--channel", help="Channel of the file, by name or number.")] = "",
    position: Annotated[int | None, typer.Option("--position", help="Position of the file, from 0.")] = None,
    positions: Annotated[Path | None, typer.Option("--positions", help="Stage positions (.csv).")] = None,
    na: Na = None,
    immersion: Immersion = "",
    emission_nm: Emission = "",
    excitation_nm: Excitation = "",
    voxel_um: Voxel = "",
    bead_um: Bead = None,
    mode: ModeName = "",
    further: Further = None,
    limits_file: Limits = None,
    reference: Reference = None,
    config: Config = None,
    data: Data = None,
    keeps: Annotated[bool, typer.Option("--keep/--no-keep", help="Keep the result, as a run's is.")] = True,
    publishes: Annotated[
        bool, typer.Option("--publish/--no-publish", help="With --config: send the result to the collector.")
    ] = True,
    every: Every = False,
    as_json: AsJson = False,
) -> None:
    """Measure images that exist."""
    from agent.quality.analyse import analysis_of, keep
    from agent.quality.assess import routine_named
    from agent.quality.options import facts_of

    routine = routine_named(name)
    options = facts_of(
        routine, na=na, immersion=immersion, emission_nm=emission_nm, excitation_nm=excitation_nm,
        voxel_um=voxel_um, bead_um=bead_um, mode=mode, positions=positions, reference=reference,
        further=further or (),
    )  # fmt: skip
    data_dir = _data_dir(config, data)
    analysis = analysis_of(
        routine, files, options, dark=dark, bright=bright, channel=channel or None, position=position,
        own_limits=limits_file, data_dir=data_dir,
    )  # fmt: skip
    result = analysis.result
    if keeps:
        from agent.settings import load_settings

        console = _console(is_error=True)
        publisher = load_settings(config) if config and publishes else None
        result = keep(analysis, data_dir, lambda text: console.print(text, highlight=False), publisher)
    _finish(result, routine.title, every=every, as_json=as_json)


@app.command(help=f"Acquire through the hardware, measure, and send the result to the collector. {EXITS}")
def run(
    name: Name,
    config: Config = None,
    data: Data = None,
    slide: Annotated[str, typer.Option("--slide", help="What lies on the stage; kept with the result.")] = "",
    channels: Annotated[
        list[str] | None, typer.Option("--channel", help="Preset of the channel group; may be repeated.")
    ] = None,
    properties: Annotated[
        list[str] | None,
        typer.Option("--property", help="DEVICE-PROPERTY=VALUE for the run; set back afterwards."),
    ] = None,
    na: Na = None,
    immersion: Immersion = "",
    emission_nm: Emission = "",
    excitation_nm: Excitation = "",
    voxel_um: Voxel = "",
    bead_um: Bead = None,
    mode: ModeName = "",
    reference: Reference = None,
    further: Further = None,
    limits_file: Limits = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether all is ready.")] = False,
    wait_s: Annotated[
        float | None,
        typer.Option("--wait", min=0, help="Wait so many seconds for hardware that somebody else has."),
    ] = None,
    every: Every = False,
    as_json: AsJson = False,
) -> None:
    """Acquire, measure and publish."""
    from agent.hardware.owner import waiting
    from agent.quality.assess import routine_named
    from agent.quality.options import facts_of, properties_of
    from agent.quality.run import Request
    from agent.settings import load_settings

    routine = routine_named(name)
    options = facts_of(
        routine, na=na, immersion=immersion, emission_nm=emission_nm, excitation_nm=excitation_nm,
        voxel_um=voxel_um, bead_um=bead_um, mode=mode, reference=reference, further=further or (),
    )  # fmt: skip
    request = Request(
        routine, options, tuple(channels or ()), properties_of(properties or ()), slide, limits_file
    )
    settings = waiting(load_settings(config), wait_s)
    from agent.quality.run import need_hardware
    from agent.quality.stated import check_request
    from agent.quality.watch import run_watched

    need_hardware(settings)
    protocol = check_request(request)
    if not yes:
        _ask_ready(protocol)
    console = _console(is_error=as_json)
    result = run_watched(settings, data or settings.data_path, request, console, as_json=as_json)
    _finish(result, routine.title, every=every, as_json=as_json)


def _ask_ready(protocol: Protocol) -> None:
    from agent.quality.show import show_protocol

    show_protocol(protocol, _console())
    typer.confirm("Is all of this done?", abort=True)


@app.command()
def history(
    name: Annotated[str, typer.Argument(metavar="[ROUTINE]", help="Only this routine.")] = "",
    config: Config = None,
    data: Data = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Machine-readable: a JSON object a line for each run, oldest first."),
    ] = False,
) -> None:
    """Show the runs that are kept on this computer."""
    from agent.quality.assess import routine_named
    from agent.quality.show import history_table, run_in_short
    from qc_routines.catalogue import ROUTINES

    kept = _history(config, data)
    names = [routine_named(name).name] if name else list(ROUTINES)
    runs = sorted((run for one in names for run in kept.runs(one)), key=lambda run: run.captured.wall_at)
    zero, invalid = _baseline_ids(kept, runs), kept.invalid()
    if as_json:
        for run in runs:
            typer.echo(json.dumps(run_in_short(run, zero, invalid), ensure_ascii=False))
        return
    _console().print(history_table(runs, zero, invalid))


@app.command()
def invalidate(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Beginning of the run's id.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with when.", prompt=True)],
    config: Config = None,
    data: Data = None,
) -> None:
    """Declare a run invalid: it is kept, and no acquisition from now on carries it."""
    from agent.clock import Clock

    kept = _history(config, data)
    chosen = kept.run(run_id)
    kept.invalidate(chosen, reason, Clock().wall_at())
    typer.echo(f"Run {str(chosen.run_id)[:8]} of {chosen.routine} no longer counts: {reason}")


@app.command()
def report(
    run_id: Annotated[
        str, typer.Argument(metavar="RUN", help="Beginning of the run's id; see 'qc history'.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="A file ending in .html or .pdf, or a folder, which gets both.")
    ] = Path(),
    config: Config = None,
    data: Data = None,
) -> None:
    """Write the report of a run that was kept: verdict, figures, trends, where it all came from."""
    from agent.quality.report import report_command

    report_command(run_id, out, data, config)


@baseline_app.command("set")
def set_baseline(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Beginning of the run's id.")],
    config: Config = None,
    data: Data = None,
) -> None:
    """Make a run time zero of its routine and light path."""
    kept = _history(config, data)
    chosen = kept.run(run_id)
    kept.set_baseline(chosen)
    path = ", ".join(chosen.light_path.values())
    typer.echo(
        f"Run {str(chosen.run_id)[:8]} is time zero of {chosen.routine}" + (f" on {path}." if path else ".")
    )


@baseline_app.command("show")
def show_baseline(config: Config = None, data: Data = None) -> None:
    """Show the runs that are time zero."""
    from agent.quality.show import history_table
    from qc_routines.catalogue import ROUTINES

    kept = _history(config, data)
    runs = [run for name in ROUTINES for run in kept.runs(name)]
    zero = _baseline_ids(kept, runs)
    _console().print(history_table([run for run in runs if str(run.run_id) in zero], zero, {}))


def _baseline_ids(kept: History, runs: list[QcResult]) -> set[str]:
    zero = (kept.baseline(run.routine, run.light_path) for run in runs)
    return {str(run.run_id) for run in zero if run}


def _history(config: Path | None, data: Path | None) -> History:
    from agent.quality.history import History

    return History(_data_dir(config, data))


def _data_dir(config: Path | None, data: Path | None) -> Path:
    from agent.settings import load_settings

    return data or load_settings(config).data_path


def _example_protocol(routine: Routine) -> Protocol | None:
    """Return the protocol with its defaults, of an oil immersion objective where it wants optics."""
    from agent.quality.plans import protocol_of
    from qc_routines.conditions import Mode, Optics

    return protocol_of(routine, {}, (), Optics(Mode.WIDEFIELD, 1.4, 1.518, 520.0))


def _finish(result: QcResult, title: str, *, every: bool, as_json: bool) -> None:
    """Print the result and end with its exit code."""
    from agent.quality.show import show_result
    from agent.records import QcStatus, encode

    if as_json:
        typer.echo(encode(result).decode())
    else:
        show_result(result, title, _console(), every_figure=every)
    raise typer.Exit(EXIT_FAILED_VERDICT if result.status is QcStatus.FAIL else 0)


def _console(is_error: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=is_error)
