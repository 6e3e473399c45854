"""What is written: terminal, HTML, JSON, JUnit XML; hostile labels are text in each."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

from lxml import html
from rich.console import Console

from agent.conformance.findings import Finding, Severity
from agent.conformance.junit import junit
from agent.conformance.page import page
from agent.conformance.terminal import show

HOSTILE = Finding(
    Severity.ERROR, "read", "\x1b[2J[red]x[/red]", '"><img src=//evil.example/x>', "a\x00]]>&\ud800\uffff"
)


def test_junit_parses_and_counts(faulty):
    root = ET.fromstring(junit(faulty))
    failed = {
        (test.get("classname"), test.get("name"))
        for test in root.iter("testcase")
        if test.find("failure") is not None
    }
    assert failed == {(f.device, f.property) for f in faulty.findings if f.severity == "error"}
    assert int(root.get("failures", "")) == len(failed)
    assert int(root.get("tests", "")) == len(list(root.iter("testcase"))) >= len(faulty.reads)


def test_page_refers_to_nothing_outside(faulty):
    tree = html.fromstring(page(faulty))
    assert not tree.xpath("//script | //link | //img | //iframe | //*[@src] | //*[@href]")
    assert not re.search(r"url\(|@import", page(faulty))


def test_page_escapes_what_devices_say(faulty):
    text = page(faulty)
    assert "Bad &lt;b&gt;&amp;&quot;one&quot;" in text
    assert "<script" not in text
    assert "<b>" not in text


def test_hostile_labels_are_text_everywhere(demo):
    report = replace(demo, findings=(HOSTILE,))
    text = page(report)
    assert not html.fromstring(text).xpath("//img")
    text.encode("utf-8")
    root = ET.fromstring(junit(report))
    assert root.find(".//failure") is not None
    shown = io.StringIO()
    show(report, Console(file=shown, width=200))
    assert "[red]x[/red]" in shown.getvalue()
    assert "\x1b" not in shown.getvalue()


def test_json_is_plain(faulty):
    told = json.loads(json.dumps(faulty.as_dict()))
    assert told["format"] == "scopestamp-conformance"
    assert len(told["findings"]) == len(faulty.findings)
    assert {"device", "property", "severity", "check", "text"} == set(told["findings"][0])
