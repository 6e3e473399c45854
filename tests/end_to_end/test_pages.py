"""Every page in a real Chromium, over a real collector process that really ingested what it shows.

Screenshots are left in ``artefacts/screenshots/``: desktop and phone, light and dark. Every page is checked for accessibility
with axe-core at both widths and in both schemes.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from agent.clock import Clock
from agent.mint import Mint
from agent.records import Booked, OperatorTask, PlannedSchedule, QcStatus, SchedulePlan, ScheduleRun

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "artefacts" / "screenshots"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
PAINTED = "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
AXE = importlib.util.find_spec("axe_core_python")
"""Found, not imported: the package reads its script in the platform's encoding, which is not UTF-8 on Windows."""
LOOK = """
const done = arguments[arguments.length - 1];
axe.run({resultTypes: ["violations"]}).then(found => done(found.violations), error => done(String(error)));
"""
NASTY = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="needs chromium and chromedriver on the PATH"),
]


def _sender_module() -> ModuleType:
    path = ROOT / "tests" / "server" / "sender.py"
    spec = importlib.util.spec_from_file_location("scopestamp_test_sender", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _command(data: Path, *words: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "server", *words, "--data", str(data), "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    data = tmp_path_factory.mktemp("collector")
    run = [sys.executable, "-m", "server", "run", "--data", str(data), "--port", "0", "--json"]
    with (
        (data / "log").open("w") as log,
        subprocess.Popen(run, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        try:
            with httpx.Client(base_url=url, timeout=30) as client:
                yield SimpleNamespace(url=url, data=data, **_seed(data, client))
        finally:
            process.terminate()
            process.wait(timeout=30)


def _seed(data: Path, client: httpx.Client) -> dict[str, str]:
    tools = _sender_module()
    acquisition_id = record_id = ""
    for instrument_id, name in (
        ("sd-2", "Spinning disk 2"),
        ("lsm-1", "Confocal, east wing"),
        ("new-1", "Light sheet"),
    ):
        code = _command(data, "join-code", "new", "--instrument", name, "--site", "Basel, Biozentrum")
        sender = tools.Sender(client, instrument_id)
        sender.enrol(code["join_code"]).raise_for_status()
        if instrument_id == "new-1":
            continue
        scope = tools.Scope(sender, start_at=datetime.now(UTC) - timedelta(minutes=8))
        lines = [scope.description(name), scope.snapshot(), scope.event()]
        scope.later(42)
        lines += scope.acquisition(n_frames=130)
        acquisition_id, record_id = str(lines[3].acquisition_id), str(lines[1].record_id)
        scope.later(20)
        lines.append(scope.change("Objective", "Label", scope.read("Plan Fluor 10x")))
        lines.append(scope.change("Camera", NASTY, scope.read(NASTY)))
        hardware = "idle" if instrument_id == "sd-2" else "down"
        lines.append(
            scope.heartbeat(hardware=hardware, clock_offset_s=-0.3, cpu_percent=2.1, memory_bytes=61_000_000)
        )
        lines += _scheduled(sender, instrument_id)
        runs = _quality(tools, scope, acquisition_id)
        lines += runs
        lines += [b"not json", b'{"record_id":"x","kind":"weather","schema_version":"1.0"}']
        sender.send(lines).raise_for_status()
    token = {"Authorization": f"Bearer {_command(data, 'token', 'new', 'seed', '--role', 'staff')['token']}"}
    schedule = {"schedule_id": "noise", "routine": "dark_noise", "cron": "0 3 * * *", "zone": "Europe/Zurich"}
    body = {"schedule": schedule, "instruments": ["sd-2"]}
    client.put("/v1/qc/schedules/noise", json=body, headers=token).raise_for_status()
    return {"acquisition_id": acquisition_id, "record_id": record_id, "run_id": str(runs[-1].record_id)}


def _scheduled(sender: Any, instrument_id: str) -> list[Any]:
    """Return a plan, a run that was missed, and a task for a person."""
    mint, now = Mint(instrument_id, sender.agent_id, Clock()), datetime.now(UTC)
    of = {"schedule_id": "noise", "source": "collector", "routine": "dark_noise", "zone": "Europe/Zurich"}
    task = OperatorTask(slide=NASTY, slot=3, n_slots=4, steps=("Put it in.",), until=now + timedelta(hours=9))
    planned = PlannedSchedule(**of, rule="0 3 * * *", next_at=(now + timedelta(hours=7),))
    missed, asked = now - timedelta(hours=17), now + timedelta(hours=7)
    booked = Booked(start=now + timedelta(hours=1), end=now + timedelta(hours=30))
    schedules = (planned, planned.model_copy(update={"refused": NASTY}))
    return [
        mint.make(SchedulePlan, schedules=schedules, booked=(booked,), booked_until=now + timedelta(days=15)),
        mint.make(
            ScheduleRun, **of, run_id=uuid4(), planned_at=missed, state="missed", reason="The agent was off."
        ),
        mint.make(ScheduleRun, **of, run_id=uuid4(), planned_at=asked, state="waiting_for_person", task=task),
    ]


def _quality(tools: ModuleType, scope: Any, acquisition_id: str) -> list[Any]:
    """Return a fortnight of quality control: one light path that gets worse, and one that could not be measured."""
    now = scope.elapsed_s
    runs = []
    for day in range(14, 0, -1):
        scope.elapsed_s = now - day * 86_400
        fwhm_um = 0.215 + 0.0016 * (14 - day) ** 1.5 + 0.006 * (day % 3)
        status = QcStatus.PASS if fwhm_um < 0.25 else QcStatus.WARN if fwhm_um < 0.282 else QcStatus.FAIL
        runs.append(_with_more_figures(scope.qc(fwhm_um, status)))
    scope.elapsed_s = now - 7200
    runs.append(scope.qc(objective=NASTY, status=QcStatus.UNKNOWN, metrics=()))
    scope.elapsed_s = now - 3600
    runs.append(_with_more_figures(scope.qc(0.31, QcStatus.FAIL, acquisition_id=UUID(acquisition_id))))
    scope.elapsed_s = now
    return runs


def _with_more_figures(run: Any) -> Any:
    """Return a run with as many figures as a real one has, most of them judged by nobody."""
    judged = run.metrics[0].model_copy(update={"metric": "fwhm_y_um", "status": QcStatus.PASS})
    plain = {"expected": None, "baseline": None, "upper_limit": None, "rule": "", "status": QcStatus.UNKNOWN}
    names = (
        "fwhm_x_spread_um",
        "fwhm_y_spread_um",
        "offset_um[GFP]",
        "background_um",
        "noise_um",
        "length_um",
    )
    others = (judged.model_copy(update={"metric": name, **plain}) for name in names)
    return run.model_copy(update={"metrics": (*run.metrics, judged, *others)})


@pytest.fixture(scope="module", params=["light", "dark"])
def browser(request: pytest.FixtureRequest, site: SimpleNamespace) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--hide-scrollbars",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    driver.scheme = request.param
    media = {"features": [{"name": "prefers-color-scheme", "value": request.param}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    driver.set_script_timeout(120)
    try:
        driver.get(site.url)
        _keep_screenshots(driver, "login")
        driver.login_barriers = {name: _barriers(driver, size) for name, size in SIZES.items()}
        driver.get(_command(site.data, "sign-in-link")["url"])
        yield driver
    finally:
        driver.quit()


PAGES = {
    "instruments": "/",
    "instrument": "/instruments/sd-2",
    "instruments-filtered": "/?status=qc_fail&sort=site",
    "compare": "/compare?metric=fwhm_x_um",
    "search": "/acquisitions?q=mitosis&channel=gfp",
    "changes": "/instruments/sd-2/changes",
    "acquisitions": "/instruments/sd-2/acquisitions",
    "acquisition": "/acquisitions/{acquisition_id}",
    "quality": "/instruments/sd-2/qc",
    "qc-run": "/qc/{run_id}",
    "record": "/records/{record_id}",
    "calendar": "/calendar",
    "schedules": "/schedules",
    "schedule": "/schedules/noise",
    "tasks": "/tasks",
    "utilisation": "/utilisation",
    "credit": "/instruments/sd-2/credit",
    "logbook": "/instruments/sd-2/logbook",
    "logbooks": "/logbook",
    "quarantine": "/quarantine",
    "admin": "/admin",
    "admin-alerts": "/admin/alerts",
    "people": "/admin/people",
    "audit": "/audit",
    "alerts": "/alerts",
    "service": "/service",
    "service-instrument": "/service/sd-2",
    "reference": "/docs",
    "not-found": "/nothing-here",
}


@pytest.mark.parametrize("name", PAGES)
def test_page_shows_without_complaint_and_fits_every_width(browser, site, name):
    browser.get_log("browser")
    browser.get(site.url + PAGES[name].format(**vars(site)))

    assert browser.find_element(By.TAG_NAME, "h1").is_displayed()
    assert "owned" not in browser.title
    for size in SIZES.values():
        _resize(browser, size)
        overhang = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert browser.execute_script(overhang) <= 0, f"the page is wider than {size[0]} px"
    _keep_screenshots(browser, name)
    complaints = [
        entry["message"] for entry in browser.get_log("browser") if "/nothing-here" not in entry["message"]
    ]
    assert complaints == []


@pytest.mark.parametrize("name", PAGES)
def test_page_has_no_serious_barrier(browser, site, name):
    browser.get(site.url + PAGES[name].format(**vars(site)))

    assert {size_name: _barriers(browser, size) for size_name, size in SIZES.items()} == {
        size_name: [] for size_name in SIZES
    }


def test_barriers_would_be_found(browser, site):
    browser.get(site.url + "/tasks")
    image = "const image = document.createElement('img'); document.querySelector('main').append(image);"
    browser.execute_script(image + "document.querySelector('h1').style.color = 'rgb(128 128 128 / 30%)'")

    found = {barrier.split(":")[0] for barrier in _barriers(browser, SIZES["phone"])}
    assert {"image-alt", "color-contrast"} <= found


def test_sign_in_page_has_no_serious_barrier(browser):
    assert browser.login_barriers == {size_name: [] for size_name in SIZES}


def test_pages_load_nothing_from_elsewhere(browser, site):
    requested = [
        message["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"] == "Network.requestWillBeSent"
    ]
    assert requested
    assert [url for url in requested if not url.startswith((site.url, "data:", "chrome:"))] == []


def test_making_a_join_code_by_form_shows_it_once(browser, site):
    browser.get(site.url + "/admin")
    browser.find_element(By.NAME, "instrument").send_keys("Widefield 3")
    browser.find_element(By.NAME, "site").send_keys("Basel")
    browser.find_element(By.XPATH, "//button[text()='Make a join code']").click()

    code = awaited(browser, By.CLASS_NAME, "code").text
    assert [len(group) for group in code.split("-")] == [4] * 5
    _keep_screenshots(browser, "join-code")
    browser.get(site.url + "/admin")
    assert code not in browser.page_source


def test_milliseconds_have_a_point_in_english(browser, site):
    browser.get(site.url + PAGES["acquisition"].format(**vars(site)))
    told = [one.text for one in browser.find_elements(By.CSS_SELECTOR, ".timeline time")]
    assert told and all(re.search(r"\d\d:\d\d:\d\d\.\d{3}$", text) for text in told)


def test_chart_that_is_wider_than_a_phone_begins_at_its_newest_values(browser, site):
    browser.get(site.url + PAGES["quality"])
    _resize(browser, SIZES["phone"])
    chart = browser.find_element(By.CSS_SELECTOR, ".scroll > .trend-plot")
    ends = "const end = one => one.getBoundingClientRect().right; return end(arguments[0]) - end(arguments[0].parentNode)"
    assert chart.size["width"] > SIZES["phone"][0]
    assert abs(browser.execute_script(ends, chart)) < 3


FIELDS = """
return [...document.querySelectorAll("form.filter > label, form.filter > button")].map(one => {
  const box = one.getBoundingClientRect();
  return [Math.round(box.left), Math.round(box.bottom)];
});
"""


def test_filter_is_one_row_on_a_desktop_and_two_columns_on_a_phone(browser, site):
    browser.get(site.url + "/logbook")
    places = {}
    for name, size in SIZES.items():
        _resize(browser, size)
        browser.execute_async_script(PAINTED)
        places[name] = browser.execute_script(FIELDS)
    assert len(places["desktop"]) == 7 and len({bottom for _, bottom in places["desktop"]}) == 1
    assert len({left for left, _ in places["phone"]}) == 2


def test_drawing_of_the_holder_can_be_read_on_a_phone(browser, site):
    browser.get(site.url + "/tasks")
    _resize(browser, SIZES["phone"])
    browser.execute_async_script(PAINTED)
    heights = (
        "return [...document.querySelectorAll('.slide text')].map(one => one.getBoundingClientRect().height)"
    )
    shown = [height for height in browser.execute_script(heights) if height]
    assert shown and min(shown) > 11


def test_times_are_not_broken_within_a_sentence_on_a_phone(browser, site):
    browser.get(site.url + "/tasks")
    _resize(browser, SIZES["phone"])
    browser.execute_async_script(PAINTED)
    lines = "return [...document.querySelectorAll('main p time')].map(one => one.getClientRects().length)"
    assert set(browser.execute_script(lines)) == {1}


def test_keyboard_reaches_the_content_first(browser, site):
    browser.get(site.url)
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "Skip to content"


def test_signing_out_ends_the_session(browser, site):
    browser.get(site.url)
    browser.find_element(By.XPATH, "//button[text()='Sign out']").click()
    awaited(browser, By.NAME, "password")
    browser.get(site.url + "/admin")

    assert browser.find_element(By.TAG_NAME, "h1").text == "Sign in"


def awaited(browser: webdriver.Chrome, by: str, what: str) -> WebElement:
    """Return an element of the page that a click leads to, when it is there."""
    return WebDriverWait(browser, 30).until(lambda driver: driver.find_element(by, what))


def _resize(browser: webdriver.Chrome, size: tuple[int, int]) -> None:
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def _barriers(browser: webdriver.Chrome, size: tuple[int, int]) -> list[str]:
    """Return what axe finds serious or critical on the page: rule, element and why."""
    _resize(browser, size)
    browser.execute_async_script(PAINTED)
    assert AXE is not None and AXE.origin is not None
    browser.execute_script(Path(AXE.origin).with_name("axe.min.js").read_text(encoding="utf-8"))
    found = browser.execute_async_script(LOOK)
    assert isinstance(found, list), found
    return [
        f"{rule['id']}: {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def _keep_screenshots(browser: webdriver.Chrome, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for size_name, (width, height) in SIZES.items():
        _resize(browser, (width, height))
        whole = min(browser.execute_script("return document.documentElement.scrollHeight"), 2600)
        _resize(browser, (width, max(whole, height)))
        browser.execute_async_script(PAINTED)
        browser.save_screenshot(SCREENSHOTS / f"{name}-{size_name}-{browser.scheme}.png")
        _resize(browser, (width, height))
