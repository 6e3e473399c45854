"""Looking up acquisitions and entries of the change log on the pages."""

from __future__ import annotations

import re
from html import unescape

import pytest

from agent.records import Cause, QcOfLightPath, QcStamp, QcStatus


@pytest.fixture
def sender(running):
    return running.sender()


@pytest.fixture
def scope(running, tools, sender):
    return tools.Scope(sender, start_at=running.clock())


@pytest.fixture
def acquired(sender, scope):
    """One acquisition with its verdict of quality; returns its records."""
    records = list(scope.acquisition(n_frames=4))
    stamp = QcStamp(
        light_paths=(
            QcOfLightPath(
                light_path={"objective": "Plan Apo 60x Oil", "channel": "GFP"},
                is_valid=True,
                status=QcStatus.WARN,
                statement="psf warned 3 days before",
            ),
        )
    )
    records[-2] = records[-2].model_copy(update={"qc": stamp})
    assert sender.send(records).status_code == 200
    return records


def found_by(running, query):
    with running.browser() as browser:
        reply = browser.get(f"/acquisitions?{query}")
    assert reply.status_code == 200, reply.text
    return re.findall(r'<th scope="row"><a href="/acquisitions/([^"]+)"', reply.text)


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("", True),
        ("q=MITO", True),
        ("q=mitosis+zarr", True),
        ("q=tosis", False),
        ("q=" + "3f" * 32, True),
        ("q=" + "a1" * 8, True),
        ("q=" + "b2" * 8, False),
        ("objective=plan+apo+60x+oil&channel=gfp&qc=warn", True),
        ("qc=pass", False),
        ("instrument=scope-1", True),
        ("instrument=scope-2", False),
        ("since=2026-05-04&until=2026-05-04", True),
        ("until=2026-05-03", False),
        ("since=2026-05-05", False),
    ],
)
def test_acquisition_is_found_by_what_is_known_of_it(running, acquired, query, is_found):
    expected = [str(acquired[0].acquisition_id)] if is_found else []
    assert found_by(running, query) == expected


def test_identifier_leads_to_the_acquisition_itself(running, acquired):
    with running.browser() as browser:
        reply = browser.get(f"/acquisitions?q={acquired[0].acquisition_id}")
    assert reply.url.path == f"/acquisitions/{acquired[0].acquisition_id}"


def test_day_that_is_none_is_refused_in_words(running):
    with running.browser() as browser:
        reply = browser.get("/acquisitions?since=May")
    assert reply.status_code == 400
    assert "Expected a day such as 2026-05-04." in reply.text


def test_acquisition_page_tells_the_quality_that_held(running, acquired):
    with running.browser() as browser:
        page = browser.get(f"/acquisitions/{acquired[0].acquisition_id}").text
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())
    assert "Quality control that held" in text
    assert "psf warned 3 days before" in text


def properties_on(running, query):
    with running.browser() as browser:
        page = browser.get(f"/instruments/scope-1/changes?{query}").text
    return re.findall(r'<th scope="row">(\w+)<br><span class="small">(\w+)<', page)


def test_change_log_is_narrowed_by_device_property_cause_and_day(running, sender, scope):
    lines = []
    for number in range(3):
        lines.append(scope.change("Camera", "Gain", scope.read(number)))
        lines.append(scope.change("Camera", "Exposure", scope.read(float(number)), Cause.DRIFTED))
        lines.append(scope.change("Stage", "X", scope.read(float(number)), Cause.DRIFTED))
        scope.later(86_400)
    sender.send(lines)

    assert len(properties_on(running, "")) == 9
    assert set(properties_on(running, "device=Camera")) == {("Camera", "Gain"), ("Camera", "Exposure")}
    assert properties_on(running, "what=gai") == [("Camera", "Gain")] * 3
    assert properties_on(running, "cause=drifted&device=Camera") == [("Camera", "Exposure")] * 3
    assert len(properties_on(running, "until=2026-05-04")) == 3
    assert properties_on(running, "cause=notified") == []
    with running.browser() as browser:
        assert browser.get("/instruments/scope-1/changes?until=soon").status_code == 400


def test_filtered_change_log_pages_without_loss(running, sender, scope):
    lines = []
    for number in range(120):
        scope.later(1)
        lines.append(scope.change("Camera", "Gain" if number % 2 else "Binning", scope.read(number)))
    sender.send(lines)
    with running.browser() as browser:
        first = browser.get("/instruments/scope-1/changes?what=gain").text
        (following,) = re.findall(r'href="([^"]*changes\?before=[^"]+)"', first)
        second = browser.get(unescape(following)).text
    n_rows = [one.count('<span class="small">Gain</span>') for one in (first, second)]
    assert n_rows == [50, 10]
