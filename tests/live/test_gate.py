"""Who reaches the live page, and who may write."""

from __future__ import annotations

from tests.live.served import Served
from wsml_study.live.gate import LARGEST_BODY


def test_nothing_is_there_without_the_token(page: Served) -> None:
    key = page.key("confirmed")
    for path in ("/", "/api/studies", "/x/api/studies", f"/{page.path[1:-2]}/api/studies", "//api/studies"):
        reply, text = page.ask("GET", path)
        assert reply.status == 404
        assert "wsml-study serve" in text
        assert "confirmed" not in text
    for path in (f"/api/study/{key}/notes", f"/wrong/api/study/{key}/notes", f"/wrong/api/study/{key}/commands"):
        assert page.ask("POST", path, {"text": "a"})[0].status == 404
    assert page.get(f"api/study/{key}")["notes"] == []


FOREIGN = (
    {"Host": "evil.example"},
    {"Host": "evil.example:80"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
)


def test_another_sites_page_is_refused(page: Served) -> None:
    key = page.key("confirmed")
    for headers in FOREIGN:
        assert page.ask("GET", page.path, headers=headers)[0].status == 403
        assert page.ask("POST", f"{page.path}api/study/{key}/notes", {"text": "a"}, headers=headers)[0].status == 403
    assert page.get(f"api/study/{key}")["notes"] == []


def test_a_write_that_a_form_could_send_is_refused(page: Served) -> None:
    path = f"{page.path}api/study/{page.key('confirmed')}/notes"
    assert page.ask("POST", path, {"text": "a"}, headers={"Content-Type": "text/plain"})[0].status == 415
    assert page.ask("POST", path, {"text": "a"}, headers={"Sec-Fetch-Site": "cross-site"})[0].status == 403
    assert page.ask("PUT", path, {"text": "a"})[0].status == 405


def test_large_bodies_are_refused(page: Served) -> None:
    path = f"{page.path}api/study/{page.key('confirmed')}/notes"
    assert page.ask("POST", path, b"", headers={"Content-Length": str(LARGEST_BODY + 1)})[0].status == 413
    assert page.ask("POST", path, b"", headers={"Transfer-Encoding": "chunked"})[0].status == 411


def test_a_tunnel_may_have_another_port(page: Served) -> None:
    reply, _ = page.ask("GET", page.path, headers={"Host": "localhost:9999", "Origin": "http://localhost:9999"})
    assert reply.status == 200


def test_every_reply_forbids_requests_to_elsewhere_and_to_be_kept_or_framed(page: Served) -> None:
    for path in (page.path, f"{page.path}api/studies", f"{page.path}nothing", "/nothing"):
        headers = page.ask("GET", path)[0].headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; ")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "server" not in headers


def test_a_study_is_named_by_its_key_alone(page: Served) -> None:
    for key in ("..", "%2e%2e", "../../etc", "0" * 12, "confirmed"):
        for path in (f"study/{key}/report", f"api/study/{key}", f"static/{key}", "static/..%2f..%2fapp.py"):
            assert page.ask("GET", f"{page.path}{path}")[0].status == 404
