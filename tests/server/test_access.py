"""Who gets to see what: every route of the app, asked without a session, as a viewer and as an administrator."""

from __future__ import annotations

import re

import httpx
import pytest
from fastapi.routing import APIRoute

from server.access.people import link_job, sign_in
from server.access.secrets import hash_of, hash_password, is_password, new_secret
from server.headers import CONTENT_SECURITY_POLICY
from server.settings import Settings
from server.store.rows import User

PUBLIC = {
    "GET /healthz",
    "GET /login",
    "POST /language",
    "POST /login",
    "GET /sign-in/{secret}",
    "GET /oidc/start",
    "GET /oidc/back",
    "GET /oidc/out",
    "POST /v1/ingest",
    "POST /v1/enrol",
    "POST /v1/rotate-key",
    "POST /v1/forward",
    "GET /v1/forward",
    "POST /v1/forward/join",
    "POST /v1/forward/revoked",
    "GET /v1/cursor",
    "GET /v1/schedules",
}
"""Everything that answers without a session; what is under /v1 is guarded by signature or join code, a sign-in link by its
one-time secret."""

PASSWORD = "correct horse battery"


def routes_of(routes) -> list[APIRoute]:
    """Return every route, also those of routers that are included as they are."""
    found = []
    for route in routes:
        if isinstance(route, APIRoute):
            found.append(route)
        else:
            found += routes_of(getattr(route, "routes", None) or _included(route))
    return found


def _included(route):
    router = getattr(route, "original_router", None) or getattr(route, "router", None)
    return getattr(router, "routes", [])


def asked(running) -> dict[str, tuple[str, str]]:
    """Return 'METHOD /path/{x}' to method and a path to ask, from the application itself."""
    known = {}
    for route in routes_of(running.app.routes):
        for method in route.methods - {"HEAD"}:
            filled = re.sub(r"\{position\}", "1", route.path)
            known[f"{method} {route.path}"] = (method, re.sub(r"\{\w+\}", "x", filled))
    return known


def test_the_list_of_routes_is_the_real_one(running):
    known = asked(running)
    assert known.keys() >= PUBLIC | {
        "GET /",
        "GET /admin",
        "GET /docs",
        "GET /openapi.json",
        "GET /v1/records",
    }
    assert len(known) >= 30


def test_nothing_but_the_public_routes_answers_without_a_session(running):
    for name, (method, path) in asked(running).items():
        if name in PUBLIC:
            continue
        reply = running.client.request(method, path)
        if reply.status_code == 303:
            assert reply.headers["location"].startswith("/login"), name
        else:
            assert (reply.status_code, reply.json()["error"]) == (401, "not_signed_in"), name


def test_health_tells_strangers_nothing(running):
    reply = running.client.get("/healthz")
    assert (reply.status_code, reply.json()) == (200, {"status": "ok"})


def test_every_answer_carries_the_headers(running):
    for path in ("/login", "/healthz", "/v1/records", "/nothing", "/static/style.css"):
        headers = running.client.get(path).headers
        assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert headers["x-content-type-options"] == "nosniff"
    assert running.client.get("/login").headers["cache-control"] == "no-store"
    assert "default-src 'self'" in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY and "http" not in CONTENT_SECURITY_POLICY


def test_bug_of_ours_is_answered_without_its_inside(running, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("secret inside")

    monkeypatch.setattr(running.collector.store, "reading", fail)
    reply = running.client.get("/healthz")
    assert (reply.status_code, reply.json()["error"]) == (500, "internal_error")
    assert "secret" not in reply.text
    assert reply.headers["content-security-policy"] == CONTENT_SECURITY_POLICY


# Tokens


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic abc"])
def test_wrong_token_is_refused(running, header):
    reply = running.client.get("/v1/instruments", headers={"Authorization": header})
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"


def test_viewer_is_no_admin(running):
    assert running.client.get("/v1/instruments", headers=running.token("viewer")).status_code == 200
    assert running.client.get("/admin", headers=running.token("viewer")).status_code == 403
    assert running.client.get("/admin", headers=running.token("admin")).status_code == 200


def test_token_cannot_send_forms(running):
    reply = running.client.post("/admin/join-codes", headers=running.token("admin"), data={"form_token": ""})
    assert reply.status_code == 403


# Sessions


@pytest.fixture
def ada(running):
    user = User("ada", "admin", hash_password(PASSWORD), running.clock())
    running.collector.writer.do(lambda writes: writes.put_user(user))
    return user


def log_in(running, password=PASSWORD, name="ada", **more):
    return running.client.post("/login", data={"name": name, "password": password, **more})


def test_sign_in_sets_a_cookie_scripts_cannot_read(running, ada):
    reply = log_in(running, next="/quarantine")

    assert (reply.status_code, reply.headers["location"]) == (303, "/quarantine")
    cookie = reply.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie
    assert running.client.get("/quarantine").status_code == 200


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/\x01"]
)
def test_sign_in_leads_to_no_other_site(running, ada, target):
    assert log_in(running, next=target).headers["location"] == "/"


@pytest.mark.parametrize(("name", "password"), [("ada", "wrong"), ("nobody", PASSWORD), ("", "")])
def test_wrong_password_and_wrong_name_are_refused_alike(running, ada, name, password):
    reply = log_in(running, password, name)
    assert reply.status_code == 401
    assert "Name or password is wrong." in reply.text


def test_guessing_passwords_is_slowed_down(running, ada):
    statuses = [log_in(running, "wrong").status_code for _ in range(11)]
    assert statuses[-1] == 429
    assert log_in(running).status_code == 429


def test_sign_in_from_another_site_is_refused(running, ada):
    form = {"name": "ada", "password": PASSWORD}
    reply = running.client.post("/login", data=form, headers={"Sec-Fetch-Site": "cross-site"})
    assert reply.status_code == 403


def test_session_ends_after_its_hours(running, ada):
    log_in(running)
    running.clock.later(hours=Settings().sessions.hours, seconds=1)
    assert running.client.get("/").status_code == 303


def test_session_follows_the_user_row(running, ada):
    log_in(running)
    demoted = User("ada", "viewer", ada.password, ada.added_at)
    running.collector.writer.do(lambda writes: writes.put_user(demoted))
    assert running.client.get("/admin").status_code == 403


def test_sign_out_ends_the_session_on_the_collector(running, ada):
    log_in(running)
    cookies = dict(running.client.cookies)
    token = re.search(r'name="form_token" value="(\w+)"', running.client.get("/").text)[1]
    assert running.client.post("/logout", data={"form_token": "wrong"}).status_code == 403

    running.client.post("/logout", data={"form_token": token})

    with httpx.Client(base_url=running.url, cookies=cookies) as thief:
        assert thief.get("/").status_code == 303


def test_link_signs_in_once(running):
    with running.browser("grace", "viewer") as browser:
        assert "grace" in browser.get("/").text
        assert browser.get("/admin").status_code == 403


def test_link_is_good_once_and_for_ten_minutes(running):
    used, late = new_secret(), new_secret()
    for secret in (used, late):
        running.collector.writer.do(link_job(secret, "grace", "viewer", running.clock()))
    assert running.client.get(f"/sign-in/{used}").status_code == 303
    assert running.client.get(f"/sign-in/{used}").status_code == 401
    running.clock.later(minutes=10)
    assert running.client.get(f"/sign-in/{late}").status_code == 401


def test_sign_in_link_is_no_session_and_no_token(running):
    secret = new_secret()
    running.collector.writer.do(link_job(secret, "grace", "admin", running.clock()))
    for asked_with in ({"Authorization": f"Bearer {secret}"}, {"Cookie": f"scopestamp_session={secret}"}):
        assert running.client.get("/v1/agents", headers=asked_with).status_code == 401


def test_sign_ins_are_audited(running, ada):
    log_in(running, "wrong")
    log_in(running)
    with running.collector.store.reading() as reads:
        assert [entry.outcome for entry in reads.audit()] == ["done", "refused"]


def test_only_hashes_of_secrets_are_kept(running, ada):
    secret = sign_in(running.collector, "ada", PASSWORD, "here")
    running.collector.writer.do(lambda writes: None)
    folder = running.collector.store.path.parent
    kept = b"".join(path.read_bytes() for path in folder.iterdir())
    assert secret.encode() not in kept and PASSWORD.encode() not in kept
    assert hash_of(secret).encode() in kept


def test_password_is_known_again_and_no_other_is():
    kept = hash_password(PASSWORD)
    assert is_password(PASSWORD, kept)
    assert not is_password(PASSWORD + " ", kept)
    assert not is_password(PASSWORD, None)
    assert hash_password(PASSWORD) != kept


# Forms of the admin page


def test_join_code_form_makes_a_code_that_works(running, tools):
    with running.browser() as browser:
        page = browser.get("/admin").text
        token = re.search(r'name="form_token" value="(\w+)"', page)[1]
        form = {"form_token": token, "instrument": "Confocal", "site": "Basel", "hours": "1"}
        code = re.search(
            r'<p class="code">([A-Z0-9-]+)</p>', browser.post("/admin/join-codes", data=form).text
        )[1]

    agent = tools.Sender(running.client)
    assert agent.enrol(code).status_code == 200


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"form_token": "wrong"}, 403),
        ({"form_token": ""}, 403),
        ({"instrument": " "}, 400),
        ({"hours": "-1"}, 400),
    ],
)
def test_join_code_form_that_is_wrong_is_refused(running, change, status):
    with running.browser() as browser:
        token = re.search(r'name="form_token" value="(\w+)"', browser.get("/admin").text)[1]
        form = {"form_token": token, "instrument": "Confocal", "site": "Basel", "hours": "1", **change}
        assert browser.post("/admin/join-codes", data=form).status_code == status


def test_admin_revokes_an_agent(running, tools):
    agent = running.sender()
    with running.browser() as browser:
        token = re.search(r'name="form_token" value="(\w+)"', browser.get("/admin").text)[1]
        path = f"/admin/agents/{agent.agent_id}/revoke"
        assert browser.post(path).status_code == 403
        first_look = browser.get("/admin").text
        before, _, after = first_look.partition(f'action="{path}"')
        assert before.count("<details") - before.count("</details>") == 1, (
            "one slip of the hand revokes nothing"
        )
        assert "give it a new join code" in after.partition("</form>")[0]
        assert "revoked" in browser.post(path, data={"form_token": token}).text

    assert agent.send([tools.Scope(agent).heartbeat()]).status_code == 403
