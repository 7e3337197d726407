"""Log lines, as another process reads them."""

import json
import subprocess
import sys

SCRIPT = """
import logging, sys, structlog
from berth.telemetry.logs import set_up_logs
from berth.settings import Settings

set_up_logs(Settings(), "gateway")
log = structlog.get_logger("gateway.server")
log.info("charger_connected", charger_id=7)
log.debug("not_shown")
logging.getLogger("httpx").info("nor this")
logging.getLogger("temporalio").warning("late by %s", 3)
secret_token = "CARD-1"
try:
    1 / 0
except ZeroDivisionError:
    log.exception("call_failed")
"""


def lines(**environment: str) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout == ""
    return run.stderr.splitlines()


def test_elsewhere_than_in_a_terminal_each_line_is_a_json_object() -> None:
    connected, late, failed = map(json.loads, lines())
    assert connected["process"] == "gateway"
    assert connected["event"] == "charger_connected"
    assert connected["charger_id"] == 7
    assert connected["timestamp"].endswith("Z")
    assert (late["level"], late["event"]) == ("warning", "late by 3")
    assert "ZeroDivisionError" in failed["exception"]


def test_the_setting_asks_for_lines_that_people_read() -> None:
    first, *others = lines(BERTH_LOG_FORMAT="console")
    assert first.endswith("[info] charger_connected charger_id=7")
    assert "\x1b" not in first
    assert others[-1] == "ZeroDivisionError: division by zero"


def test_local_variables_are_never_shown() -> None:
    assert "CARD-1" not in "".join(lines(BERTH_LOG_FORMAT="console") + lines())


def test_the_level_is_a_setting() -> None:
    assert [json.loads(line)["event"] for line in lines(BERTH_LOG_LEVEL="error")] == ["call_failed"]
