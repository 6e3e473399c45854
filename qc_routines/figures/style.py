"""The house's look: readable sizes, colours that all eyes tell apart, axes that say what they are.

Colours are those of Okabe & Ito, https://jfly.uni-koeln.de/color/; maps are matplotlib's viridis, whose lightness
rises evenly. Images have y down, as the camera reads them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.image import AxesImage

BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#e69f00",
    "#a0487d",
    "#56b4e9",
)
INK, SOFT, FAINT = "#16202a", "#586673", "#c5ccd3"

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every computer
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-4, 6),
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "image.cmap": "viridis",
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "text.usetex": False,
}

WIDTH_IN = 7.4
"""Of a figure: the text width of A4."""

MOST_BINS = 60
SHARE_OF_FIELD = 0.1
"""Length of the longest arrow, in parts of the field."""


def plain(words: str) -> str:
    """Return words from elsewhere such that matplotlib shows them as they are: no formulas, no control characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words).replace("$", r"\$")


def panels(
    n_columns: int = 1, n_rows: int = 1, height_in: float = 2.9, width_ratios: list[float] | None = None
) -> tuple[Canvas, list[Axes]]:
    """Return a figure and its axes in reading order; matplotlib's global state knows nothing of it."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(WIDTH_IN, height_in * n_rows))
    axes = canvas.subplots(n_rows, n_columns, squeeze=False, width_ratios=width_ratios)
    return canvas, list(axes.ravel())


def label(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Say what the axes are, with units."""
    axes.set(xlabel=x, ylabel=y, title=title)


def legend(axes: Axes, **options: Any) -> None:
    """Put the names of what was drawn where they hide least."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**options)


def image(
    axes: Axes,
    values: NDArray[Any],
    extent: tuple[float, float, float, float] | None = None,
    colour_label: str = "",
    limits: tuple[float, float] | None = None,
    ends: str = "neither",
    **options: Any,
) -> AxesImage:
    """Show an array with y down and a bar of colours; `extent` is left, right, bottom, top."""
    low, high = limits or (None, None)
    shown = axes.imshow(values, extent=extent, vmin=low, vmax=high, **options)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.figure.colorbar(shown, ax=axes, label=colour_label, extend=ends, shrink=0.9)
    return shown


def robust_limits(values: NDArray[Any], percent: float = 0.5) -> tuple[float, float]:
    """Return the limits between which all but the outermost percent of the finite values lie."""
    low, high = np.percentile(values[np.isfinite(values)], [percent, 100 - percent])
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(high) + 0.5)


def histogram(axes: Axes, values: NDArray[Any], also: Sequence[float | None] = ()) -> None:
    """Draw a histogram of the finite values; bins stay wide enough to be seen when the view also holds other values."""
    finite = np.asarray(values, float)[np.isfinite(values)]
    view = np.append(finite, [value for value in also if value is not None])
    n_bins = int(np.clip(np.sqrt(finite.size) * 1.5, 6, MOST_BINS))
    widest = max(float(np.ptp(finite)) / n_bins, float(np.ptp(view)) / MOST_BINS)
    n_bins = max(1, int(np.ceil(float(np.ptp(finite)) / widest))) if widest > 0 else 1
    middle, half = (float(finite.min()) + float(finite.max())) / 2, n_bins * (widest or 1.0) / 2
    axes.hist(
        finite,
        np.linspace(middle - half, middle + half, n_bins + 1),
        color=BLUE,
        edgecolor="white",
        linewidth=0.5,
    )


def arrows(
    axes: Axes,
    xy: tuple[NDArray[Any], NDArray[Any]],
    off_xy: tuple[NDArray[Any], NDArray[Any]],
    field: float,
    unit: str,
    colour: str = BLUE,
) -> None:
    """Draw how far points are off, enlarged, with the length of a key arrow that says how much."""
    longest = float(np.nanmax(np.hypot(*off_xy)))
    key = nice_length(longest)
    per_length = max(longest, 1e-12) / (SHARE_OF_FIELD * field)
    quiver = axes.quiver(
        *xy, *off_xy, angles="xy", scale_units="xy", scale=per_length, color=colour, width=0.005,
        headwidth=3.6, minlength=0,
    )  # fmt: skip
    axes.quiverkey(quiver, 0.9, 1.04, key, f"{key:g} {unit}", labelpos="W", color=INK)


def nice_length(longest: float) -> float:
    """Return 1, 2 or 5 times a power of ten, not above a length.

    Examples
    --------
    >>> nice_length(340.0), nice_length(0.06), nice_length(0.0)
    (200.0, 0.05, 1.0)
    """
    if not longest > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(longest))
    return float(round(max(step for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9)) * power, 12))
