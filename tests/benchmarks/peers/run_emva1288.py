"""Characterises one camera with emva1288, in an environment of its own; see `qc_peers.py`, which starts it."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import numpy as np
from _timed import timed
from emva1288.process.data import Data1288
from emva1288.process.loader import LoadImageData
from emva1288.process.results import Results1288


class LoadArrays(LoadImageData):
    """Its loader, given arrays instead of the names of files."""

    def _load_imgs(self, images: Any) -> Any:
        self._shape.update(image.shape for image in images)
        return list(images)


def camera(task: dict[str, Any]) -> dict[str, Any]:
    """Levels of light at one exposure, the dark of which is a level of none."""
    given = np.load(task["path"])
    dark, bright, pairs, light = (given[name] for name in ("dark", "bright", "pairs", "light_e"))
    temporal = {0.0: dark[:2]} | {float(e): pair for e, pair in zip(light, pairs, strict=True)}
    images = {
        "temporal": {1.0: temporal},
        "spatial": {1.0: {0.0: dark, float(light[len(light) // 2]): bright}},
    }

    def analyse() -> dict[str, float]:
        results = Results1288(
            Data1288(LoadArrays(images, loglevel=logging.ERROR).data, loglevel=logging.ERROR).data
        )
        return {
            "gain": float(results.K),
            "dark_noise_e": float(results.sigma_d),
            "dsnu_e": float(results.DSNU1288),
            "prnu_percent": float(results.PRNU1288),
            "full_well_e": float(results.u_e_sat),
        }

    found, cost = timed(analyse, task["n_times"])
    return cost | found


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    np.seterr(all="ignore")
    print(json.dumps(camera(json.loads(sys.argv[1]))))
