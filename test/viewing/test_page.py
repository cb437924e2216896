"""The viewer's page and its server."""

import http.client
import re
import socket

import pytest

from mvssm_ros.errors import UserError
from mvssm_ros.viewing.page import Page, check_port, viewer_files

FILES = {"/": b"<html></html>", "/re_viewer.js": b"1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def port():
    port = free_port()
    page = Page(FILES, "127.0.0.1", port, 4711)
    yield port
    page.close()


def get(port, path, host="127.0.0.1", name=None):
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.request("GET", path, headers={"Host": name or f"{host}:{port}"})
    answer = connection.getresponse()
    answer.body = answer.read()
    connection.close()
    return answer


def test_the_short_address_leads_to_the_data(port):
    answer = get(port, "/")
    assert answer.status == 302
    address = answer.headers["Location"]
    assert "url=rerun%2Bhttp%3A%2F%2F127.0.0.1%3A4711%2Fproxy" in address
    assert get(port, address).body == FILES["/"]


def test_a_page_called_by_another_name_gets_its_data_from_there(port):
    answer = get(port, "/", name=f"robot.local:{port}")
    assert "robot.local%3A4711" in answer.headers["Location"]


def test_the_browser_is_forbidden_to_ask_anybody_else(port):
    policy = get(port, "/re_viewer.js").headers["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["connect-src"] == "'self' http://127.0.0.1:4711"
    assert "http" not in rules["default-src"]


@pytest.mark.parametrize("name", ["a b", "x;script-src *", "x/y", ""])
def test_a_name_that_is_none_is_refused(port, name):
    assert get(port, "/", name=name or " ").status == 400


def test_other_files_are_not_given(port):
    assert get(port, "/../../etc/passwd").status == 404


def test_nobody_else_can_reach_it(port):
    elsewhere = "127.0.0.2"  # of this machine too, but another address
    with pytest.raises(ConnectionRefusedError):
        get(port, "/", elsewhere)


def test_a_port_in_use_is_told_in_one_line(port):
    for take in (lambda: check_port("127.0.0.1", port), lambda: Page(FILES, "127.0.0.1", port, 1)):
        with pytest.raises(UserError, match=rf"port {port}.*--port") as caught:
            take()
        assert "\n" not in str(caught.value)


def test_an_address_of_another_machine_is_told_in_one_line():
    with pytest.raises(UserError, match=r"192\.0\.2\.1"):
        check_port("192.0.2.1", free_port())


def test_the_files_are_those_of_the_wheel_without_links_elsewhere():
    pytest.importorskip("rerun", reason="the viewer library is not installed")
    files = viewer_files()
    assert files["/re_viewer_bg.wasm"].startswith(b"\0asm")
    assert b"wasm_bindgen" in files["/re_viewer.js"]
    assert b"re_viewer.js" in files["/"]
    assert not re.search(rb"<link[^>]*https?://", files["/"])
