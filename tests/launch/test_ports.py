"""Ports that are taken, and the sentence that says so."""

import socket

import pytest

from berth.errors import StartError
from berth.ports import is_taken, require_free


def test_a_port_nobody_listens_on_is_free(free_port: int) -> None:
    assert not is_taken("127.0.0.1", free_port)
    require_free("API_PORT", "127.0.0.1", free_port)


def test_a_port_in_use_is_a_sentence_that_names_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(StartError, match=f"^BERTH_GATEWAY_PORT: port {port} of 127.0.0.1 is in use"):
            require_free("GATEWAY_PORT", "127.0.0.1", port)


def test_a_host_that_is_not_ours_names_the_host_setting() -> None:
    with pytest.raises(StartError, match=r"^BERTH_API_HOST: cannot listen on 192\.0\.2\.1:8080"):
        require_free("API_PORT", "192.0.2.1", 8080)


def test_port_zero_is_always_free() -> None:
    require_free("API_PORT", "127.0.0.1", 0)
