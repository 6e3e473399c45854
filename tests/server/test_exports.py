"""Acquisitions in the standards' formats, from what was really ingested."""

from __future__ import annotations

import json
import re
from pathlib import Path
from uuid import uuid4

import pytest

from agent.exports import FORMATS, Bundle, view_of
from agent.exports.qc_stamp import qc_stamp
from agent.records import AcquisitionPlan, OutputFile, QcResult, decode

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "instrument_profile.v1.0.json"


@pytest.fixture
def sender(running):
    return running.sender()


@pytest.fixture
def scope(tools, sender, running):
    return tools.Scope(sender, start_at=running.clock())


@pytest.fixture
def profile(scope):
    """The golden instrument profile, as this instrument's."""
    golden = decode(GOLDEN.read_bytes())
    return golden.model_copy(update={**scope.common, "record_id": uuid4(), "captured": scope.now()})


def send_acquisition(sender, scope, before=(), **finished):
    """Send an acquisition after some other records, the QC among them in its record; return its id."""
    scope.later(60)
    records = list(scope.acquisition(n_frames=6))
    runs = [record for record in before if isinstance(record, QcResult)]
    qc = qc_stamp(view_of(Bundle(records[-2])), runs)
    records[-2] = records[-2].model_copy(update={"qc": qc, **finished})
    assert sender.send([*before, *records]).status_code == 200
    return str(records[0].acquisition_id)


@pytest.fixture
def acquisition_id(sender, scope, profile):
    before = [scope.description(), profile, scope.qc()]
    return send_acquisition(sender, scope, before, profile_sha256=profile.profile_sha256)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_can_be_had(running, acquisition_id, name):
    reply = running.get(f"/v1/acquisitions/{acquisition_id}/export/{name}")

    assert reply.status_code == 200, reply.text
    assert reply.content
    assert reply.headers["content-type"].partition(";")[0] == FORMATS[name].media_type
    assert f'filename="mitosis.ome.zarr{FORMATS[name].suffix}"' in reply.headers["content-disposition"]
    assert reply.headers["content-disposition"].startswith("attachment")
    if "json" in FORMATS[name].media_type:
        assert json.loads(reply.content)


def without_doi(profile):
    plate = profile.profile.instrument.model_copy(update={"pid": None})
    return stated(profile, plate)


def without_year(profile):
    plate = profile.profile.instrument.model_copy(update={"registered_year": None, "commissioned": None})
    return stated(profile, plate)


def stated(profile, plate):
    return profile.model_copy(update={"profile": profile.profile.model_copy(update={"instrument": plate})})


@pytest.mark.parametrize(
    ("changed", "has_qc", "withheld"),
    [
        (lambda profile: profile, True, set()),
        (lambda profile: profile, False, {"microscopemetrics"}),
        (without_doi, True, {"datacite", "datacite-xml"}),
        (without_year, True, {"datacite-xml"}),
        (without_doi, False, {"datacite", "datacite-xml", "microscopemetrics"}),
    ],
    ids=["everything", "no QC", "no DOI", "no year", "neither DOI nor QC"],
)
def test_page_offers_what_can_be_had_and_says_why_the_rest_cannot(
    running, sender, scope, profile, changed, has_qc, withheld
):
    before = [scope.description(), changed(profile), *([scope.qc()] if has_qc else [])]
    acquisition_id = send_acquisition(sender, scope, before, profile_sha256=profile.profile_sha256)
    with running.browser() as browser:
        page = browser.get(f"/acquisitions/{acquisition_id}").text
        offered = re.findall(rf"/v1/acquisitions/{acquisition_id}/export/([\w-]+)", page)
        answers = {
            name: browser.get(f"/v1/acquisitions/{acquisition_id}/export/{name}").status_code
            for name in FORMATS
        }
    assert {name for name, status in answers.items() if status != 200} == withheld
    assert set(offered) == set(FORMATS) - withheld
    for name in withheld:
        assert FORMATS[name].title in page
    words = {"datacite": "registers instruments with a DOI", "microscopemetrics": "No result of PSF"}
    for name, said in words.items():
        assert (said in page) == (name in withheld)


def test_record_is_the_one_received(running, acquisition_id):
    one = running.get(f"/v1/acquisitions/{acquisition_id}").json()
    raw = running.get(f"/v1/records/{one['finished_record_id']}/raw").content
    assert running.get(f"/v1/acquisitions/{acquisition_id}/export/record").content == raw


def test_export_holds_profile_frames_and_the_qc_that_held(running, acquisition_id):
    ome = running.get(f"/v1/acquisitions/{acquisition_id}/export/ome-xml").text
    assert ome.count("<Plane ") == 6
    metrics = running.get(f"/v1/acquisitions/{acquisition_id}/export/calibration").text
    assert "fwhm" in metrics
    pidinst = running.get(f"/v1/acquisitions/{acquisition_id}/export/pidinst").text
    assert decode(GOLDEN.read_bytes()).profile.instrument.name in pidinst


def test_description_of_the_time_is_taken_not_a_later_one(running, sender, scope):
    first, later = scope.description("As it was"), None
    acquisition_id = send_acquisition(sender, scope, [first])
    scope.later(60)
    later = scope.description("Renamed since")
    position = running.get("/v1/spools").json()[0]
    sender.send([later], first_seq=position["mark"] + 1, prev=position["chain"])

    text = running.get(f"/v1/acquisitions/{acquisition_id}/export/pidinst").text

    assert "As it was" in text and "Renamed since" not in text


def test_qc_after_the_acquisition_did_not_hold(running, sender, scope):
    acquisition_id = send_acquisition(sender, scope, [scope.description()])
    scope.later(60)
    spool = running.get("/v1/spools").json()[0]
    sender.send([scope.qc()], first_seq=spool["mark"] + 1, prev=spool["chain"])

    reply = running.get(f"/v1/acquisitions/{acquisition_id}/export/microscopemetrics")

    assert (reply.status_code, reply.json()["error"]) == (409, "cannot_export")


@pytest.mark.parametrize(
    ("query", "status", "error"),
    [
        ("export/word", 404, "no_such_format"),
        ("export/methods?language=xx", 409, "cannot_export"),
    ],
)
def test_wrong_question_is_refused(running, acquisition_id, query, status, error):
    reply = running.get(f"/v1/acquisitions/{acquisition_id}/{query}")
    assert (reply.status_code, reply.json()["error"]) == (status, error)


def test_language_is_passed_on(running, acquisition_id):
    german = running.get(f"/v1/acquisitions/{acquisition_id}/export/methods?language=de").text
    assert german != running.get(f"/v1/acquisitions/{acquisition_id}/export/methods").text


def test_running_acquisition_cannot_be_exported_yet(running, sender, scope):
    records = list(scope.acquisition())
    sender.send(records[:2])
    acquisition_id = records[0].acquisition_id

    reply = running.get(f"/v1/acquisitions/{acquisition_id}/export/ome-xml")

    assert (reply.status_code, reply.json()["error"]) == (409, "not_finished")
    with running.browser() as browser:
        page = browser.get(f"/acquisitions/{acquisition_id}").text
    assert "has not been received yet. Ask again later." in page
    assert "/export/" not in page


def test_profile_that_is_named_but_missing_is_not_replaced_by_another(running, sender, scope, profile):
    other = "0" * 64
    acquisition_id = send_acquisition(sender, scope, [profile], profile_sha256=other)

    reply = running.get(f"/v1/acquisitions/{acquisition_id}/export/pidinst")

    assert (reply.status_code, reply.json()["error"]) == (409, "profile_not_received")
    assert other in reply.json()["message"]


def test_number_beyond_all_bounds_costs_that_value_alone(running, sender, scope):
    scope.values["Camera"]["Exposure"] = scope.read(10**400)
    acquisition_id = send_acquisition(sender, scope, plan=AcquisitionPlan(axes={"t": 6}))

    replies = {name: running.get(f"/v1/acquisitions/{acquisition_id}/export/{name}") for name in FORMATS}

    refused = {name for name, reply in replies.items() if reply.status_code != 200}
    assert refused == {"datacite", "datacite-xml", "microscopemetrics"}  # no DOI, no QC
    assert "Camera.Exposure" in replies["ome-xml"].text
    with running.browser() as browser:
        assert browser.get(f"/acquisitions/{acquisition_id}").status_code == 200


def test_nothing_there_is_said(running):
    assert running.get("/v1/acquisitions/none/export/record").status_code == 404


def test_exports_need_a_person(running, acquisition_id):
    assert running.client.get(f"/v1/acquisitions/{acquisition_id}/export/record").status_code == 401


@pytest.mark.parametrize("path", ['D:\\a"\r\nX-Bad: 1', "/data/Zellkern µ 細胞.ome.tif", "/data/<b>;x"])
def test_file_name_cannot_leave_its_header(running, sender, scope, path):
    file = OutputFile(path=path, format="ome-tiff", size_bytes=1, n_files=1, sha256="3f" * 32)
    acquisition_id = send_acquisition(sender, scope, files=(file,))

    reply = running.get(f"/v1/acquisitions/{acquisition_id}/export/record")

    assert reply.status_code == 200
    assert "x-bad" not in reply.headers
    assert re.fullmatch(
        r"attachment; filename=\"[A-Za-z0-9._-]+\"; filename\*=UTF-8''[A-Za-z0-9%._~-]+",
        reply.headers["content-disposition"],
    )


def test_page_shows_completeness_and_offers_every_format(running, acquisition_id):
    report = running.get(f"/v1/acquisitions/{acquisition_id}/export/completeness").json()

    with running.browser() as browser:
        page = browser.get(f"/acquisitions/{acquisition_id}").text

    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    for score in report["scores"]:
        shown = f"{score['name']} {score['percent']:.0f} % {score['present']} of {score['required']}"
        assert shown in text, shown
    assert f"{len(report['missing'])} things" in text
    for name in FORMATS:
        assert f"/v1/acquisitions/{acquisition_id}/export/{name}" in page


def test_frames_not_yet_stamped_are_told(running, sender, scope):
    records = list(scope.acquisition(n_frames=8))
    sender.send([*records[:2], *records[3:]])

    with running.browser() as browser:
        page = browser.get(f"/acquisitions/{records[0].acquisition_id}").text

    assert "Of 8 frames, the stamps of 4 have been received" in page


def test_run_on_an_acquisition_is_listed_on_its_page(running, sender, scope):
    records = list(scope.acquisition())
    run = scope.qc(acquisition_id=records[0].acquisition_id)
    sender.send([*records, run])

    with running.browser() as browser:
        assert f"/qc/{run.record_id}" in browser.get(f"/acquisitions/{records[0].acquisition_id}").text
