"""Pictures of measurements: for each routine what there is to see, drawn with matplotlib.

matplotlib is imported when something is drawn, not before. No pyplot: a figure belongs to whoever asked for it, and
nothing stays open.
"""

from qc_routines.figures.drawing import Drawing, Plot, png
from qc_routines.figures.every import PLOTS, draw
from qc_routines.figures.units import shown_unit

__all__ = ["PLOTS", "Drawing", "Plot", "draw", "png", "shown_unit"]
