"""Single sign-on: OpenID Connect, authorization code with PKCE.

One random secret in a short-lived cookie is all that is remembered of a sign-in under way: state, nonce and PKCE verifier are
derived from it, so any collector of several can finish what another began, and an answer without the cookie fits nothing.

Sources: OpenID Connect Core 1.0 § 3.1.3.7 (what of an ID token must be checked), RFC 7636 (PKCE), RFC 9207 (``iss``),
RFC 9700 (current practice).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx

from server.clock import Now
from server.errors import RefusedError, SettingsError
from server.settings import OidcSettings

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Signatures accepted; never ``none``, and no HMAC, whose key the provider shares with us."""
LEEWAY_S = 60
TIMEOUT_S = 10.0
KEPT_S = 3600
"""How long what the provider says of itself is believed."""


@dataclass(frozen=True, slots=True)
class Told:
    """Whom the provider vouches for."""

    subject: str
    """Issuer and subject: what a person is known again by, whatever the name."""
    name: str
    groups: tuple[str, ...]


class Provider:
    """The identity provider of the settings.

    Parameters
    ----------
    settings : OidcSettings
        Who it is, and who we are to it.
    now : Now
        The clock ID tokens are judged by.

    Raises
    ------
    SettingsError
        The libraries are missing, the issuer is no https address, or the secret's file cannot be read.
    """

    def __init__(self, settings: OidcSettings, now: Now) -> None:
        _check_issuer(settings.issuer)
        if find_spec("joserfc") is None:
            raise SettingsError('Single sign-on needs more: pip install "scopestamp[oidc]".')
        self._settings = settings
        self._now = now
        self._client_secret = _secret_in(settings.client_secret_file)
        self._documents: dict[str, tuple[float, dict[str, Any]]] = {}

    def start(self, secret: str, redirect_uri: str) -> str:
        """Return where the browser is sent to sign in."""
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self._settings.scopes),
            "state": _derived(secret, "state"),
            "nonce": _derived(secret, "nonce"),
            "code_challenge": _unpadded(hashlib.sha256(_derived(secret, "verifier").encode()).digest()),
            "code_challenge_method": "S256",
        }
        return f"{self._told('authorization_endpoint')}?{urlencode(asked)}"

    def finish(self, secret: str, answer: Mapping[str, str], redirect_uri: str) -> Told:
        """Return whom the provider vouches for, from the parameters with which the browser came back.

        Raises
        ------
        RefusedError
            401 when anything does not fit; 502 when the provider cannot be asked.
        """
        if not secret or not hmac.compare_digest(
            _derived(secret, "state").encode(), answer.get("state", "").encode()
        ):
            raise _refused("This answer belongs to no sign-in of this browser.")
        if answer.get("iss", self._settings.issuer) != self._settings.issuer:
            raise _refused("This answer comes from another provider.")
        if "code" not in answer:
            raise _refused(f"The provider declined ({answer.get('error', 'no reason')[:100]}).")
        claims = self._claims(self._id_token(secret, answer["code"], redirect_uri))
        if not hmac.compare_digest(_derived(secret, "nonce").encode(), str(claims.get("nonce", "")).encode()):
            raise _refused("The ID token belongs to another sign-in.")
        return self._person(claims)

    def sign_out(self, back_to: str) -> str | None:
        """Return where the browser is sent to sign out of the provider too, None when it has no such place."""
        end = self._document("discovery").get("end_session_endpoint")
        if not isinstance(end, str):
            return None
        return (
            f"{end}?{urlencode({'client_id': self._settings.client_id, 'post_logout_redirect_uri': back_to})}"
        )

    def _id_token(self, secret: str, code: str, redirect_uri: str) -> str:
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self._settings.client_id,
            "code_verifier": _derived(secret, "verifier"),
        }
        as_us = (quote(self._settings.client_id), quote(self._client_secret)) if self._client_secret else None
        try:
            answer = httpx.post(self._told("token_endpoint"), data=asked, auth=as_us, timeout=TIMEOUT_S)
            tokens = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _away(error) from error
        except ValueError as error:
            raise _refused("The provider did not accept the code.") from error
        if answer.status_code != 200 or not isinstance(tokens, dict):
            raise _refused("The provider did not accept the code.")
        if not isinstance(tokens.get("id_token"), str):
            raise _refused("The provider gave no ID token.")
        return str(tokens["id_token"])

    def _claims(self, id_token: str) -> dict[str, Any]:
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        settings = self._settings
        registry = jwt.JWTClaimsRegistry(
            now=int(self._now().timestamp()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )
        for is_fresh in (False, True):  # a key that is not known may be a new one
            try:
                keys = KeySet.import_key_set(self._document("jwks", is_fresh=is_fresh))  # type: ignore[arg-type]
                token = jwt.decode(id_token, keys, algorithms=list(ALGORITHMS))
                registry.validate(token.claims)
            except (JoseError, ValueError, KeyError, TypeError) as error:
                refused = _refused(f"The ID token is not good ({type(error).__name__}).")
                refused.__cause__ = error
                continue
            claims = token.claims
            if claims.get("azp", settings.client_id) != settings.client_id:
                raise _refused("The ID token was made for another program.")
            return claims
        raise refused

    def _person(self, claims: Mapping[str, Any]) -> Told:
        name = claims.get(self._settings.name_claim) or claims["sub"]
        groups = claims.get(self._settings.groups_claim, ())
        groups = [groups] if isinstance(groups, str) else groups
        names = (
            tuple(one for one in groups if isinstance(one, str)) if isinstance(groups, list | tuple) else ()
        )
        return Told(f"{self._settings.issuer} {claims['sub']}", str(name)[:100], names)

    def _told(self, what: str) -> str:
        told = self._document("discovery").get(what)
        if not isinstance(told, str):
            raise _refused(f"The provider tells no {what}.")
        return told

    def _document(self, which: str, *, is_fresh: bool = False) -> dict[str, Any]:
        """Return what the provider publishes: ``discovery`` or its keys, ``jwks``."""
        at = self._now().timestamp()
        fetched_at, document = self._documents.get(which, (-1e12, {}))
        if not is_fresh and 0 <= at - fetched_at < KEPT_S:
            return document
        url = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        document = self._fetched(url if which == "discovery" else self._told("jwks_uri"))
        if which == "discovery" and document.get("issuer") != self._settings.issuer:
            raise _refused("The provider calls itself by another name than [oidc] issuer.")
        self._documents[which] = (at, document)
        return document

    def _fetched(self, url: str) -> dict[str, Any]:
        try:
            answer = httpx.get(url, timeout=TIMEOUT_S)
            answer.raise_for_status()
            document = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise _away(error) from error
        if not isinstance(document, dict):
            raise _refused("The provider answers something else than JSON objects.")
        return document


def _derived(secret: str, purpose: str) -> str:
    digest = hmac.new(secret.encode(), f"oidc {purpose}".encode(), hashlib.sha256).digest()
    return _unpadded(digest)


def _unpadded(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _check_issuer(issuer: str) -> None:
    parts = urlsplit(issuer)
    try:
        is_here = ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        is_here = parts.hostname == "localhost"
    if parts.scheme != "https" and not (parts.scheme == "http" and is_here):
        raise SettingsError(f"[oidc] issuer must be an https address; it is {issuer!r}.")


def _secret_in(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").strip() if path else None
    except OSError as error:
        raise SettingsError(f"Cannot read [oidc] client_secret_file {path}: {error.strerror}.") from error


def _refused(message: str) -> RefusedError:
    return RefusedError(401, "sign_in_failed", f"{message} Sign in again, or ask an administrator.")


def _away(error: Exception) -> RefusedError:
    return RefusedError(
        502,
        "provider_away",
        f"The identity provider cannot be asked ({type(error).__name__}). Try again later.",
    )
