"""Detectors of point-scanning microscopes: noise, effective photons and gain from time series of a uniform slide."""

from qc_routines.detector.measure import measure_point_detector
from qc_routines.detector.routine import ROUTINE
from qc_routines.detector.series import SeriesNoise, series_noise

__all__ = ["ROUTINE", "SeriesNoise", "measure_point_detector", "series_noise"]
