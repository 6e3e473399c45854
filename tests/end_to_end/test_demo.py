"""``scopestamp demo`` as a user runs it, judged by others: its files by their formats' own readers, its page by a browser."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip(
    "mm_test_adapters", reason="needs Micro-Manager's demo adapters: pip install mm-test-adapters"
)

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
SCREENSHOTS = Path(__file__).parents[2] / "artefacts" / "screenshots"
DEMO = [sys.executable, "-c", "from agent.cli import main; main()", "demo"]
N_FRAMES = 2 * 2 * 11


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The demo, run once to its end."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [*DEMO, "--once", "--json", "--data", str(folder)], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(folder=folder, images=folder / "images", said=json.loads(done.stdout))


def test_demo_has_everything_in_the_collector(demo):
    assert demo.said["is_complete"] is True
    assert demo.said["n_collected"] == demo.said["n_captured"] > 10
    assert demo.said["quarantined"] == 0
    assert set(demo.said["records"]) == {
        "acquisition_finished",
        "acquisition_started",
        "agent_event",
        "dataset_stamp",
        "frame_ledger",
        "heartbeat",
        "instrument",
        "qc_result",
        "state_change",
        "state_snapshot",
    }


def test_demo_saw_every_frame(demo):
    counts = [
        (found["n_expected"], found["n_seen"], found["n_in_ledger"]) for found in demo.said["acquisitions"]
    ]
    qc = [(1, 1, 1), (16, 16, 16)]  # a frame of the uniform slide, and dark ones
    assert counts == [(N_FRAMES, N_FRAMES, N_FRAMES)] * 2 + qc
    assert {found["reason"] for found in demo.said["acquisitions"]} == {"completed"}


def test_demo_qc_passes_and_puts_the_microscope_back(demo):
    runs = list((demo.folder / "agent" / "qc" / "runs" / "illumination").glob("*.json"))
    assert [json.loads(run.read_bytes())["status"] for run in runs] == ["pass"]
    assert not (demo.folder / "agent" / "qc" / "restore.json").exists()


def test_demo_record_beside_the_data_is_the_one_stamped_inside(demo):
    import ome_types
    import tifffile
    import zarr

    zarr_stamp = dict(zarr.open_group(demo.images / "demo.ome.zarr", mode="r").attrs)["scopestamp"]
    tiffs = sorted((demo.images / "demo").glob("*.ome.tiff"))
    assert len(tiffs) == 2
    tiff_stamps = [
        {pair.k: pair.value for pair in annotation.value.ms}
        for path in tiffs
        for annotation in ome_types.from_xml(
            tifffile.tiffcomment(path)
        ).structured_annotations.map_annotations
        if annotation.namespace.startswith("https://scopestamp.org/")
    ]
    assert len(tiff_stamps) == 2
    for stamp, dataset in [(zarr_stamp, "demo.ome.zarr"), *((stamp, "demo") for stamp in tiff_stamps)]:
        sidecar = (demo.images / f"{dataset}.scopestamp.json").read_bytes()
        assert hashlib.sha256(sidecar).hexdigest() == stamp["record_sha256"]
        assert json.loads(sidecar)["record_id"] == stamp["record_id"]


def test_demo_hashes_are_those_of_the_stamped_files(demo):
    """Recompute the documented folder hash: sha256sum lines, sorted by path."""
    lines = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n"
        for name, path in sorted(
            (path.relative_to(demo.images / "demo").as_posix(), path)
            for path in (demo.images / "demo").rglob("*")
            if path.is_file()
        )
    )
    stamped = [
        file
        for found in demo.said["acquisitions"]
        for file in found["stamped"]
        if Path(file["path"]).name == "demo"
    ]
    assert [file["sha256"] for file in stamped] == [hashlib.sha256(lines.encode()).hexdigest()]


def test_demo_data_is_still_valid(demo):
    import tifffile
    import yaozarrs

    yaozarrs.validate_zarr_store(str(demo.images / "demo.ome.zarr"))
    with tifffile.TiffFile(demo.images / "demo" / "demo_p000.ome.tiff") as tiff:
        assert tiff.series[0].shape == (2, 11, 512, 512)


@pytest.fixture
def standing_demo(tmp_path: Path) -> Iterator[str]:
    """A demo that stays up; its sign-in link."""
    with subprocess.Popen(
        [*DEMO, "--data", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    ) as process:
        assert process.stdout is not None
        link = next(line.split("page: ")[1].strip() for line in process.stdout if "The page: " in line)
        yield link
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(timeout=60) == 0


@pytest.mark.browser
@pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="needs chromium and chromedriver on the PATH")
def test_demo_page_shows_the_acquisition_in_a_browser(standing_demo, tmp_path):
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-background-networking",
        "no-first-run",
    ):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    try:
        browser.set_window_size(1280, 1400)
        browser.get(standing_demo)
        WebDriverWait(browser, 30).until(lambda b: "Demo microscope" in b.page_source)
        browser.find_element(By.LINK_TEXT, "Demo microscope").click()
        WebDriverWait(browser, 30).until(lambda b: "multicolour beads 0.5 um" in b.page_source)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        browser.save_screenshot(str(SCREENSHOTS / "demo-instrument.png"))
        text = browser.find_element(By.TAG_NAME, "body").text
        assert "completed" in text
        browser.find_element(
            By.XPATH,
            f"//section[@aria-labelledby='acquisitions']"
            f"//tr[td[starts-with(normalize-space(), '{N_FRAMES}')]]//a[contains(@href, '/acquisitions/')]",
        ).click()
        WebDriverWait(browser, 30).until(lambda b: "/acquisitions/" in b.current_url)
        seen = browser.find_element(By.XPATH, "//dl[@class='tiles']/div[dt='Frames seen']/dd")
        assert seen.text == str(N_FRAMES)
        browser.save_screenshot(str(SCREENSHOTS / "demo-acquisition.png"))
        assert "demo" in browser.find_element(By.TAG_NAME, "body").text
    finally:
        browser.quit()
