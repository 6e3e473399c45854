"""One test a threat; which stands where is told in docs/security.md. Numbers are those of OWASP ASVS 5.0."""

from __future__ import annotations

import ast
import gzip
import importlib.util
import re
from pathlib import Path

import httpx
import pytest
import zstandard

from server.access.people import link_job
from server.access.secrets import new_secret
from server.store.tables import TABLES

ROOT = Path(__file__).parents[2]
SHIPPED = [
    path for room in ("agent", "drivers", "qc_routines", "server") for path in (ROOT / room).rglob("*.py")
]


def _walker():
    spec = importlib.util.spec_from_file_location("access_walk", Path(__file__).with_name("test_access.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


walk = _walker()


def token_on(page: str) -> str:
    return re.search(r'name="form_token" value="(\w+)"', page)[1]


@pytest.mark.parametrize("encoding", ["zstd", "gzip"])
def test_decompression_bomb_is_cut_off(running, encoding):
    """ASVS 5.0 5.2.1, 5.2.3: 64 MiB of zeros in some kilobytes."""
    agent = running.sender()
    zeros = bytes(64 << 20)
    body = zstandard.compress(zeros) if encoding == "zstd" else gzip.compress(zeros)
    assert len(body) < 100_000
    headers = {"Scopestamp-Spool": "spool-a", "Scopestamp-First-Seq": "1", "Scopestamp-Count": "1",
               "Scopestamp-Prev": "0" * 64}  # fmt: skip
    reply = agent.post(body, headers, encoding)
    assert (reply.status_code, reply.json()["error"]) == (413, "too_large")


NASTY = (
    "../../etc/passwd",
    r"..\..\Windows\win.ini",
    "CON",
    "nul.txt",
    "COM1.zarr",
    "C:evil",
    "a\u202etxt.exe",
    "x" * 199,
)


@pytest.mark.parametrize("name", NASTY)
def test_names_of_strangers_make_no_paths(running, tools, name):
    """ASVS 5.0 5.3.2, 5.3.3: as a device, an instrument and a file, a name is data; nothing new lies on the disk."""
    folder = running.collector.store.path.parent
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    agent = running.sender()
    scope = tools.Scope(agent)
    scope.values = {name: scope.values["Camera"]}
    assert agent.send([scope.description(name), scope.snapshot()]).status_code == 200
    with running.browser() as browser:
        form = {
            "form_token": token_on(browser.get("/admin").text),
            "work": "repair",
            "day": "2026-05-04",
            "title": "x",
        }
        path = "/instruments/scope-1/logbook"
        assert browser.post(path, data=form, files={"files": (name, b"text", "text/html")}).status_code == 200
        sha256 = re.search(r"/attachments/(\w{64})", browser.get(path).text)[1]
        given = browser.get(f"/attachments/{sha256}", params={"name": name})
        assert given.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
        assert not set('/\\"\r\n;') & set(given.headers["content-disposition"].split("''")[1])
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before


@pytest.mark.parametrize("instrument_id", ["../x", r"..\x", ".hidden", "a/b", "", "x" * 101, "a b"])
def test_instrument_id_that_could_be_a_path_is_not_enrolled(running, tools, instrument_id):
    """ASVS 5.0 5.3.2, 2.2.1."""
    assert tools.Sender(running.client, instrument_id).enrol(running.join_code()).status_code == 400


FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle", "joblib"}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "yaml.load",
    "yaml.full_load",
    "yaml.unsafe_load",
    "torch.load",
    "os.system",
}


def unsafe_in(source: str) -> set[str]:
    """Return what of a source would turn data into code."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.split(".")[0] in FORBIDDEN_MODULES}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
            found.add(node.module or "")
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FORBIDDEN_CALLS:
                found.add(called)
            for keyword in node.keywords:
                if keyword.arg in ("allow_pickle", "shell") and ast.unparse(keyword.value) != "False":
                    found.add(f"{called}({keyword.arg})")
    return found


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from marshal import loads", "eval(x)", "yaml.load(x)", "np.load(x, allow_pickle=True)",
     "run(x, shell=True)"],
)  # fmt: skip
def test_the_scan_sees_what_is_unsafe(source):
    assert unsafe_in(source)


def test_nothing_shipped_turns_data_into_code():
    """ASVS 5.0 1.3.2, 1.5.2: JSON only; no pickle, marshal, eval, unsafe YAML or shell."""
    found = {path.relative_to(ROOT).as_posix(): unsafe_in(path.read_text("utf-8")) for path in SHIPPED}
    assert {path: unsafe for path, unsafe in found.items() if unsafe} == {}


def test_session_is_new_whatever_the_browser_brought(running):
    """ASVS 5.0 7.2.4: session fixation."""
    secret = new_secret()
    running.collector.writer.do(link_job(secret, "ada", "admin", running.clock()))
    with httpx.Client(
        base_url=running.url, cookies={"scopestamp_session": "chosen-by-an-attacker"}
    ) as browser:
        given = browser.get(f"/sign-in/{secret}").headers["set-cookie"]
        assert "chosen-by-an-attacker" not in given
    with httpx.Client(base_url=running.url, cookies={"scopestamp_session": "chosen-by-an-attacker"}) as thief:
        assert thief.get("/").status_code == 303


@pytest.mark.parametrize(("scheme", "is_secure"), [("https", True), ("http", False)])
def test_session_cookie_is_out_of_reach(running, scheme, is_secure):
    """ASVS 5.0 3.3.1, 3.3.2, 3.3.4: HttpOnly, SameSite, and Secure behind TLS."""
    secret = new_secret()
    running.collector.writer.do(link_job(secret, "ada", "admin", running.clock()))
    reply = running.client.get(f"/sign-in/{secret}", headers={"X-Forwarded-Proto": scheme})
    flags = {part.strip().lower() for part in reply.headers["set-cookie"].split(";")}
    assert {"httponly", "samesite=lax"} <= flags and ("secure" in flags) is is_secure
    assert ("strict-transport-security" in reply.headers) is is_secure


def rows_of(running) -> dict[str, object]:
    told = ("users", "grants", "join_codes", "documents", "entries", "attachments", "agents")
    with running.collector.store.reading() as reads:
        return {table.name: reads.dump(table) for table in TABLES if table.name in told}


def test_no_form_is_taken_from_another_site(running):
    """ASVS 5.0 3.5.1: every form of an administrator's session, without its token."""
    agent = running.sender()
    ids = {"agent_id": agent.agent_id, "instrument_id": "scope-1", "name": "grace"}
    n_tried = 0
    with running.browser("root", "admin") as browser:
        running.collector.writer.do(link_job(new_secret(), "grace", "viewer", running.clock()))
        before = rows_of(running)
        for name in walk.asked(running):
            method, pattern = name.split(" ", 1)
            if method == "GET" or name in walk.PUBLIC:
                continue
            path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: ids.get(found[1], "x"), pattern)
            form = {"name": "eve", "role": "admin", "instrument": "x", "site": "x", "hours": "1", "reason": "x", "key": "x",
                    "work": "repair", "day": "2026-05-04", "title": "x", "schedule_id": "x", "routine": "psf"}  # fmt: skip
            reply = browser.request(method, path, data=form, follow_redirects=False)
            assert reply.status_code in (400, 401, 403, 404), (name, reply.status_code)
            n_tried += 1
        assert rows_of(running) == before
    assert n_tried > 10


def test_join_codes_and_links_cannot_be_guessed(running, tools):
    """ASVS 5.0 6.3.1: after ten failures an address waits, for the right one too."""
    guesser = tools.Sender(running.client)
    statuses = [guesser.enrol("AAAA-AAAA-AAAA-AAAA-AAAA").status_code for _ in range(11)]
    assert statuses == [403] * 10 + [429]
    assert guesser.enrol(running.join_code()).status_code == 429
    running.clock.later(minutes=2)
    assert [running.client.get("/sign-in/wrong").status_code for _ in range(11)] == [401] * 10 + [429]


def test_no_answer_can_be_framed_or_sniffed(running):
    """ASVS 5.0 3.4.3, 3.4.4, 3.4.6: pages, API, refusals and what does not exist."""
    headers = running.token("admin")
    paths = [
        path
        for name, (method, path) in walk.asked(running).items()
        if method == "GET" and "/live" not in name
    ]
    for path in [*paths, "/nothing", "/v1/nothing"]:
        reply = running.client.get(path, headers=headers)
        policy = reply.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy and "unsafe" not in policy, path
        assert reply.headers["x-content-type-options"] == "nosniff", path
        assert reply.headers["cache-control"] == "no-store" or "etag" in reply.headers, path


def test_old_batch_sent_again_adds_nothing_and_changed_is_refused(running, tools):
    """ASVS 5.0 2.3.1, 4.1.5: replays are harmless by construction."""
    agent = running.sender()
    scope = tools.Scope(agent)
    first, second = [scope.heartbeat()], [scope.heartbeat()]
    assert agent.send(first).json()["n_added"] == 1
    assert agent.send(second, first_seq=2, prev=tools.chain_over(first)).json()["n_added"] == 1
    again = agent.send(first)
    assert (again.status_code, again.json()["n_added"], again.json()["acked"]) == (200, 0, 2)
    forged = agent.send([scope.heartbeat()])
    assert (forged.status_code, forged.json()["error"]) == (409, "fork")
    with running.collector.store.reading() as reads:
        assert len(reads.records("scope-1")) == 2


def test_agent_speaks_for_its_own_instrument_alone(running, tools):
    """ASVS 5.0 13.2.1, 13.2.2: every agent has its own key, and its key opens one door."""
    mine, other = running.sender("scope-1"), running.sender("scope-2")
    assert mine.public_key != other.public_key
    reply = mine.send([tools.Scope(other).heartbeat()])
    assert reply.status_code == 200 and len(reply.json()["flagged"]) == 1
    other.key = mine.key
    assert other.send([tools.Scope(other).heartbeat()]).status_code == 401
    with running.collector.store.reading() as reads:
        assert not reads.records("scope-2") and not reads.records("scope-1")
