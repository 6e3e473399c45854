"""What few values tell: Student's t in place of the normal distribution.

Whoever takes value -+ 1.96 uncertainties for 95 % is right also of three values when their standard error is widened so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEW = 10
"""Below this many, a median absolute deviation scatters too much to be used (a fifth of all triples have nearly none)."""
MEDIAN_OVER_MEAN = 1.2533
"""Standard error of the median of normal values over that of their mean, sqrt(pi/2)."""


def student_deviate(sigmas: float, degrees: float) -> float:
    """Return the deviate of Student's t that is exceeded as rarely as so many sigmas of a normal distribution.

    Approximation of Wallace, Ann. Math. Stat. 30, 1121 (1959): within 4 % from 9 degrees of freedom on, for 1.96 sigmas
    from 3 on.

    Examples
    --------
    >>> [round(student_deviate(6.0, degrees), 1) for degrees in (9, 99, 9999)]
    [24.6, 6.6, 6.0]
    >>> [round(student_deviate(1.96, degrees), 2) for degrees in (2, 4, 9, 99)]
    [4.48, 2.79, 2.26, 1.98]
    """
    share = (8 * degrees + 3) / (8 * degrees + 1)
    return float(np.sqrt(degrees * np.expm1((share * sigmas) ** 2 / degrees)))


def widened(sigma: float, degrees: float) -> float:
    """Return a standard uncertainty from so many degrees of freedom, widened so that 1.96 of it hold 95 %."""
    return sigma * student_deviate(1.96, degrees) / 1.96


def median_uncertainty(values: NDArray[np.float64]) -> float:
    """Return the standard uncertainty of the median of three values or more, from their spread.

    Of few values that is their standard deviation, of more 1.4826 times the median absolute deviation.
    """
    n = values.size
    away = np.abs(values - np.median(values))
    sd = float(values.std(ddof=1)) if n < FEW else float(1.4826 * np.median(away))
    return widened(MEDIAN_OVER_MEAN * sd / n**0.5, n - 1)


def sd_uncertainty(sd: float, degrees: float) -> float | None:
    """Return the standard uncertainty of a standard deviation of normal values; None below two degrees of freedom.

    sd / sqrt(2 degrees) is right of many. Of few the distribution is skewed, and a small SD claims little where much is
    to be feared: widened twice, SD -+ 1.96 of it holds the truth in 94 to 98 % of cases from 3 degrees on.
    """
    if not degrees >= 2:
        return None
    return widened(widened(sd / (2 * degrees) ** 0.5, degrees), degrees)
