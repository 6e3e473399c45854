"""What goes to support holds nobody's name: whatever is planted into settings, logs and databases does not come out."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from agent.chronicle import Chronicle
from agent.cli import app
from agent.doctor.redact import Redactor, names_in
from agent.outbox import Identity

SECRETS = (
    "Wintergruen",
    "patient_4711",
    "glioma-liver",
    "kellerberg",
    "K7QX-M2PA-99ZT-44WB",
    "hush-hush",
    "10.20.30.40",
)


@pytest.fixture
def planted(tmp_path):
    """A data folder and settings full of names."""
    home = tmp_path / "Wintergruen"
    images = home / "glioma-liver images"
    images.mkdir(parents=True)
    data = home / "data"
    identity = Identity.load_or_create(data)
    (data / "site.secret").write_text("feedface" * 8)
    config = home / "agent.toml"
    config.write_text(
        f"data_dir = {str(data)!r}\n[instrument]\nname = 'Scope of Wintergruen'\nowner = 'University of kellerberg'\n"
        f"[collector]\nurl = 'http://127.0.0.1:9/kellerberg'\n[watch]\nfolders = [{str(images)!r}]\n"
    )
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    lines = [
        f"dataset {images}/patient_4711.ome.tif is written",
        "dataset 'patient_4711' was stamped",
        r"Studio.exe (pid 7, user LAB\\Wintergruen, since 8:00) has it",
        r"C:\\Users\\Wintergruen\\Documents\\glioma-liver 3.nd2 cannot be read",
        r"\\\\server\\kellerberg\\x has gone",
        "glioma-liver_t003.tiff has another size",
        "mail wintergruen@kellerberg.example, code K7QX-M2PA-99ZT-44WB",
        f"https://anna:hush-hush@collector.kellerberg.example/api at 10.20.30.40, secret {'feedface' * 8}",
        (data / "agent.key").read_text().replace("\n", "\\n"),
        "device Camera did not answer within 30 s",
    ]
    (data / "logs").mkdir()
    (data / "logs" / "daemon.log").write_text(
        "\n".join(f"{now} ERROR daemon scopestamp.x: {line}" for line in lines) + "\n"
    )
    return config, data, identity


def test_bundle_holds_no_planted_name(planted, tmp_path):
    config, data, _ = planted
    path = tmp_path / "bundle.zip"
    ran = CliRunner().invoke(app, ["doctor", "--config", str(config), "--bundle", str(path), "--json"])
    assert ran.exit_code == 1, ran.output
    with zipfile.ZipFile(path) as bundle:
        files = {name: bundle.read(name).decode() for name in bundle.namelist()}
    everything = "\n".join([*files, *files.values()]).casefold()
    key = "".join((data / "agent.key").read_text().splitlines()[1:-1])
    for secret in (*SECRETS, "feedface", key[20:40], str(tmp_path), tmp_path.name):
        assert secret.casefold() not in everything, secret
    assert "device Camera did not answer within 30 s" in files["logs/daemon.log"]
    assert "watch.settle_s = 10.0" in files["settings.txt"]
    assert "instrument.name = (set)" in files["settings.txt"]
    assert any(line.startswith("numpy ") for line in files["packages.txt"].splitlines())
    assert {name.partition("/")[0] for name in files} == {
        "findings",
        "logs",
        "packages.txt",
        "settings.txt",
        "spool.txt",
    }


def test_names_of_known_datasets_are_taken_out_of_plain_words(tmp_path):
    from agent.doctor.bundle import _samples

    chronicle = Chronicle(tmp_path)
    chronicle._do(lambda db: db.execute("INSERT INTO stamped VALUES ('/d/tumor 12/run7.zarr', NULL, '2026')"))
    chronicle.close()
    assert list(_samples(tmp_path)) == ["/d/tumor 12/run7.zarr"]
    assert "tumor 12" not in Redactor(names_in(_samples(tmp_path)))("run7 of tumor 12")


def test_same_thing_has_the_same_number_and_plain_words_stay():
    redact = Redactor(["Ada"])
    told = redact("/srv/a.tif; /srv/a.tif, adapter and radar went on at 14:03, 0.5 s, N/A and 3/4; ada")
    assert told == "<path 1>; <path 1>, adapter and radar went on at 14:03, 0.5 s, N/A and 3/4; <name 2>"


def test_json_says_the_same_as_the_screen(planted):
    config, _, _ = planted
    ran = CliRunner().invoke(app, ["doctor", "--config", str(config), "--json"])
    told = json.loads(ran.output)
    assert told["worst"] == "problem"
    assert {one["topic"] for one in told["findings"]} >= {"versions", "service", "spool", "collector", "log"}
