"""The dashboard asks for nothing that a scrape does not tell, in queries that Prometheus' own tool can read."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from server import cli
from server.grafana import dashboard_json

PROMTOOL = shutil.which("promtool")


def queries() -> list[str]:
    dashboard = json.loads(dashboard_json())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    asked += [one["definition"] for one in dashboard["templating"]["list"] if "definition" in one]
    return asked


def families(running) -> dict[str, tuple[str, set[str]]]:
    """What a scrape tells: name of a series to the labels it can have."""
    headers = {**running.token("vendor"), "Accept": "application/openmetrics-text"}
    text = running.client.get("/metrics", headers=headers).text
    told: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        told[name] = {label for sample in family.samples for label in sample.labels}
    return told


def test_every_series_and_label_it_asks_for_is_in_a_scrape(running, tools):
    sender = running.sender()
    scope = tools.Scope(sender, start_at=running.clock())
    sender.send([scope.heartbeat(disk_free_bytes=7, clock_offset_s=0.1, memory_bytes=9), scope.qc()])
    told = families(running)
    asked = queries()
    assert len(asked) > 20
    for query in asked:
        names = re.findall(r"scopestamp_\w+", query)
        assert names, query
        for name, selector in re.findall(r"(scopestamp_\w+)(?:\{([^}]*)\})?", query):
            assert name in told, query
            assert set(re.findall(r"(\w+)=", selector)) <= told[name], query


def test_it_asks_for_all_that_a_scrape_tells(running, tools):
    assert set(families(running)) - set(re.findall(r"scopestamp_\w+", " ".join(queries()))) == set()


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of Debian's package prometheus")
def test_promtool_reads_every_query(tmp_path):
    rules = [{"record": f"asked:{number}", "expr": query} for number, query in enumerate(queries())
             if not query.startswith("label_values")]  # fmt: skip
    file = tmp_path / "rules.json"  # YAML reads JSON
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    done = subprocess.run([PROMTOOL, "check", "rules", file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_panels_lie_beside_each_other_and_have_names_of_their_own():
    dashboard = json.loads(dashboard_json())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_command_prints_it(capsys):
    cli.grafana_dashboard()
    assert json.loads(capsys.readouterr().out)["uid"] == "scopestamp"
