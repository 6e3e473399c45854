"""Measures one array with microscopemetrics, in an environment of its own; see `qc_peers.py`, which starts it."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import microscopemetrics_schema.datamodel as schema
import numpy as np
from _timed import timed
from microscopemetrics.analyses import field_illumination, numpy_to_mm_image, psf_beads

AXES = "zyx"


def beads(task: dict[str, Any]) -> dict[str, Any]:
    stack = np.load(task["path"])

    def analyse() -> Any:
        image = numpy_to_mm_image(stack[None, ..., None], "beads", channel_names=["beads"])
        for axis, size in zip(AXES, task["voxel_um"], strict=True):
            setattr(image, f"voxel_size_{axis}_micron", size)
        dataset = schema.PSFBeadsDataset(
            microscope=schema.Microscope(),
            input_data=schema.PSFBeadsInputData(psf_beads_images=[image]),
            input_parameters=schema.PSFBeadsInputParameters(bit_depth=16),
        )
        psf_beads.analyse_psf_beads(dataset)
        return dataset.output.bead_properties.table_data

    table, cost = timed(analyse, task["n_times"])
    good = table[table["considered_valid"].astype(bool)]
    return cost | {
        "n_used": len(good),
        "fwhm_um": [good[f"fwhm_micron_{axis}"].astype(float).tolist() for axis in AXES],
    }


def field(task: dict[str, Any]) -> dict[str, Any]:
    frame = np.load(task["path"])

    def analyse() -> Any:
        dataset = schema.FieldIlluminationDataset(
            microscope=schema.Microscope(),
            input_data=schema.FieldIlluminationInputData(
                field_illumination_images=[numpy_to_mm_image(frame, "field", channel_names=["field"])]
            ),
            input_parameters=schema.FieldIlluminationInputParameters(bit_depth=16),
        )
        field_illumination.analyse_field_illumination(dataset)
        return dataset.output.key_measurements[0]

    found, cost = timed(analyse, task["n_times"])
    corners = [
        getattr(found, f"{row}_{side}_intensity_ratio")
        for row in ("top", "bottom")
        for side in ("left", "right")
    ]
    centre = float(found.center_fitted_y), float(found.center_fitted_x)
    return cost | {"centre_yx": centre, "corner_ratio": float(np.mean(corners))}


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    task = json.loads(sys.argv[1])
    try:
        said: dict[str, Any] = {"beads": beads, "field": field}[task["kind"]](task)
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is its answer
        said = {"failed": f"{type(error).__name__}: {str(error)[:120]}"}
    print(json.dumps(said))
