"""Single sign-on against a real small provider, and against one that lies (ASVS 5.0 chapters 9 and 10)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest

from server.access.oidc import Provider
from server.errors import SettingsError
from server.settings import OidcSettings, Settings
from server.store.rows import User

joserfc = pytest.importorskip("joserfc", reason="the extra scopestamp[oidc] is not installed")
from joserfc import jwt  # noqa: E402
from joserfc.jwk import RSAKey  # noqa: E402

KEY, OTHER_KEY = (RSAKey.generate_key(2048, {"kid": kid, "use": "sig"}) for kid in ("one", "two"))
ROLES = {"core": "staff", "users": "viewer"}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class LyingProvider:
    """A provider on a real socket whose ID tokens say what a test wants; it checks PKCE and client as a real one does."""

    def __init__(self) -> None:
        self.claims: dict[str, object] = {}
        self.left_out: tuple[str, ...] = ()
        self.key, self.published, self.header = KEY, KEY, {"alg": "RS256", "kid": "one"}
        self.asked: dict[str, str] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def authorize(self, url: str) -> dict[str, str]:
        """Take the browser in, and return the parameters with which it goes back."""
        self.asked = dict(parse_qsl(urlsplit(url).query))
        return {"code": "c", "state": self.asked["state"]}

    def id_token(self, now: float) -> str:
        claims = {
            "iss": self.issuer, "sub": "u-1", "aud": "scopestamp", "iat": int(now), "exp": int(now) + 300,
            "nonce": self.asked["nonce"], "preferred_username": "grace", "groups": ["core"], **self.claims,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if name not in self.left_out}
        if self.header["alg"] in ("none", "HS256"):  # no library makes these; a forger does
            signed = (
                f"{_base64url(json.dumps(self.header).encode())}.{_base64url(json.dumps(claims).encode())}"
            )
            mac = hmac.new(KEY.as_pem(private=False), signed.encode(), hashlib.sha256).digest()
            return f"{signed}.{_base64url(mac) if self.header['alg'] == 'HS256' else ''}"
        return jwt.encode(self.header, claims, self.key, algorithms=[self.header["alg"]])

    def tokens(self, form: dict[str, str]) -> tuple[int, dict[str, object]]:
        challenge = _base64url(hashlib.sha256(form["code_verifier"].encode()).digest())
        if challenge != self.asked["code_challenge"] or form["redirect_uri"] != self.asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "a", "token_type": "Bearer", "id_token": self.id_token(self.now)}

    def _handler(outer):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/jwks":
                    self._say(200, {"keys": [outer.published.as_dict(private=False)]})
                else:
                    at = outer.issuer
                    self._say(200, {"issuer": at, "authorization_endpoint": f"{at}/auth", "token_endpoint": f"{at}/token",
                                    "jwks_uri": f"{at}/jwks", "end_session_endpoint": f"{at}/end"})  # fmt: skip

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._say(*outer.tokens({name: values[0] for name, values in parse_qs(body).items()}))

            def _say(self, status: int, said: dict[str, object]) -> None:
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def provider(clock):
    lying = LyingProvider()
    lying.now = clock().timestamp()
    yield lying
    lying.close()


@pytest.fixture
def running(make_running, provider):
    oidc = OidcSettings(issuer=provider.issuer, roles=ROLES, sites={"basel": "Basel"})
    return make_running(Settings(oidc=oidc))


@pytest.fixture
def browser(running):
    with httpx.Client(base_url=running.url, timeout=30) as client:
        yield client


def come_back(browser, provider, **different: str) -> httpx.Response:
    told = provider.authorize(browser.get("/oidc/start").headers["location"])
    return browser.get("/oidc/back", params={**told, **different})


def test_person_is_let_in_with_the_role_of_the_groups(running, browser, provider):
    """ASVS 5.0 10.5.1, 10.5.2: who never was here is added when the provider vouches for them."""
    provider.claims = {"groups": ["users", "core", "basel"]}
    reply = come_back(browser, provider)
    assert (reply.status_code, reply.headers["location"]) == (303, "/")
    assert "grace" in browser.get("/").text
    with running.collector.store.reading() as reads:
        user = reads.user("grace")
    assert (user.role, user.password, user.scope) == (
        "staff",
        None,
        '{"sites": ["Basel"], "instruments": []}',
    )


def test_role_follows_the_groups_at_the_next_sign_in(running, browser, provider):
    come_back(browser, provider)
    provider.claims = {"groups": ["users"]}
    come_back(browser, provider)
    with running.collector.store.reading() as reads:
        assert reads.user("grace").role == "viewer"


LIES = {
    "wrong nonce": ({"nonce": "x"}, {}),
    "no nonce": ({}, {"left_out": ("nonce",)}),
    "expired": ({"exp": 1_700_000_000}, {}),
    "no expiry": ({}, {"left_out": ("exp",)}),
    "wrong audience": ({"aud": "another"}, {}),
    "made for another": ({"aud": ["scopestamp", "another"], "azp": "another"}, {}),
    "wrong issuer": ({"iss": "https://evil.example"}, {}),
    "no subject": ({}, {"left_out": ("sub",)}),
    "issued tomorrow": ({"iat": 4_000_000_000}, {}),
    "not yet valid": ({"nbf": 4_000_000_000}, {}),
    "alg none": ({}, {"header": {"alg": "none"}}),
    "HMAC with the public key": ({}, {"header": {"alg": "HS256", "kid": "one"}}),
    "unknown key": ({}, {"header": {"alg": "RS256", "kid": "two"}, "key": OTHER_KEY}),
    "known name, other key": ({}, {"key": OTHER_KEY}),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_does_not_fit_lets_nobody_in(running, browser, provider, lie):
    """ASVS 5.0 9.1.1, 9.1.2, 9.2.1, 9.2.3, 10.5.1, 10.5.4."""
    provider.claims, said = LIES[lie]
    for name, value in said.items():
        setattr(provider, name, value)
    assert come_back(browser, provider).status_code == 401
    assert browser.get("/").status_code == 303
    with running.collector.store.reading() as reads:
        assert reads.user("grace") is None
        assert reads.audit()[0].outcome == "refused"


@pytest.mark.parametrize(
    "different",
    [{"state": "x"}, {"state": ""}, {"iss": "https://evil.example"}],
    ids=["state", "no state", "iss"],
)
def test_answer_of_another_sign_in_is_refused(browser, provider, different):
    """ASVS 5.0 10.2.1, 10.2.2: state mismatch, and mix-up of providers."""
    assert come_back(browser, provider, **different).status_code == 401


def test_answer_in_another_browser_is_refused(running, browser, provider):
    """ASVS 5.0 10.2.1: nobody is signed in as somebody else by a link (login CSRF)."""
    told = provider.authorize(browser.get("/oidc/start").headers["location"])
    assert running.client.get("/oidc/back", params=told).status_code == 401


def test_new_key_of_the_provider_is_fetched(running, browser, provider):
    come_back(browser, provider)
    provider.key = provider.published = OTHER_KEY
    provider.header = {"alg": "RS256", "kid": "two"}
    assert come_back(browser, provider).status_code == 303


def test_name_of_somebody_else_is_not_taken_over(running, browser, provider):
    """ASVS 5.0 10.5.2: people are known again by issuer and subject, not by their name."""
    local = User("grace", "admin", None, running.clock())
    running.collector.writer.do(lambda writes: writes.put_user(local))
    assert come_back(browser, provider).status_code == 403
    with running.collector.store.reading() as reads:
        assert reads.user("grace") == local


@pytest.mark.parametrize("name", ["grace/../ada", "grace\nadmin as ada", " grace", "\x1b[2Jgrace", "gr\\ace"])
def test_name_that_nobody_could_be_given_here_is_not_taken_from_the_provider(
    running, browser, provider, name
):
    """It stands in paths, lists and the audit log like any other, whoever may choose it there."""
    provider.claims = {"preferred_username": name}
    assert come_back(browser, provider).status_code == 403
    with running.collector.store.reading() as reads:
        assert reads.users() == []


def test_without_a_group_that_has_a_role_nobody_is_let_in(browser, provider):
    """ASVS 5.0 8.2.1: default deny."""
    provider.claims = {"groups": ["unknown"]}
    assert come_back(browser, provider).status_code == 403


def test_session_is_new_and_sign_out_leads_out_of_the_provider(browser, provider):
    """ASVS 5.0 7.2.4, 7.4.1, 10.6.1."""
    browser.cookies.set("scopestamp_session", "chosen-by-an-attacker", domain="127.0.0.1")
    reply = come_back(browser, provider)
    cookie = next(
        one for one in reply.headers.get_list("set-cookie") if one.startswith("scopestamp_session=")
    )
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "attacker" not in cookie
    browser.cookies.clear()
    browser.headers["Cookie"] = cookie.partition(";")[0]
    token = re.search(r'name="form_token" value="(\w+)"', browser.get("/").text)[1]
    out = browser.post("/logout", data={"form_token": token}, follow_redirects=True)
    assert f"{provider.issuer}/end?client_id=scopestamp" in out.text
    assert browser.get("/").status_code == 303


def test_login_page_offers_it(browser, running):
    assert 'href="/oidc/start"' in browser.get("/login").text


def test_issuer_must_be_https(clock):
    """ASVS 5.0 12.2.1."""
    with pytest.raises(SettingsError, match="https"):
        Provider(OidcSettings(issuer="http://id.example.org"), clock)


def test_provider_that_is_away_is_said_so(make_running):
    running = make_running(Settings(oidc=OidcSettings(issuer="http://127.0.0.1:9", roles=ROLES)))
    assert running.client.get("/oidc/start").status_code == 502


@pytest.fixture
def real_provider():
    """Give the issuer of somebody else's provider in a process of its own: oidc-provider-mock, built on Authlib."""
    if find_spec("oidc_provider_mock") is None:
        pytest.skip("oidc-provider-mock is not installed")
    ada = json.dumps({"sub": "ada-1", "preferred_username": "ada", "groups": ["core"]})
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "oidc_provider_mock",
        "--port",
        "0",
        "--user-claims",
        ada,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        drain = None
        try:
            told = (re.search(r"running on (http://127\.0\.0\.1:\d+)", line) for line in process.stdout)
            issuer = next(filter(None, told))[1]
            drain = threading.Thread(target=process.stdout.read)  # or the pipe fills, and it waits for ever
            drain.start()
            yield issuer
        finally:
            process.terminate()
            process.wait()
            if drain is not None:
                drain.join()


def test_real_small_provider_lets_in(make_running, clock, tmp_path, real_provider):
    (tmp_path / "secret").write_text("shared with the provider\n")
    oidc = OidcSettings(issuer=real_provider, roles=ROLES, client_secret_file=str(tmp_path / "secret"))
    running = make_running(Settings(oidc=oidc))
    with httpx.Client(base_url=running.url, timeout=30) as browser:
        sent = browser.get("/oidc/start").headers["location"]
        answer = httpx.post(sent, data={"sub": "ada-1"}, timeout=30)
        clock.at = datetime.now(UTC)  # the provider has a clock of its own
        landed = browser.get(answer.headers["location"])
        assert landed.status_code == 303, landed.text
        assert "ada" in browser.get("/").text
