"""Frames that are none, each with the answer it should get."""

import json
from dataclasses import dataclass
from typing import Any

IGNORED: list[Any] = []
BAD_PAYLOAD = {"1.6": [4, "x", "FormationViolation"], "2.0.1": [4, "x", "FormatViolation"]}
UNREADABLE = {"1.6": IGNORED, "2.0.1": [4, "-1", "RpcFrameworkError"]}
ANSWERED = [3, "x"]
UNKNOWN = [4, "x", "NotImplemented"]


def call(payload: str, action: str = "Heartbeat") -> str:
    return f'[2,"x","{action}",{payload}]'


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


@dataclass(frozen=True)
class Garbage:
    """What is sent, and the beginning of the frame that answers it; a dictionary when versions differ."""

    sentence: str
    sent: str | bytes
    answer: list[Any] | dict[str, list[Any]]

    def answer_in(self, version: str) -> list[Any]:
        return self.answer[version] if isinstance(self.answer, dict) else self.answer


GARBAGE = [
    Garbage("a binary frame is read like text", b'[2,"x","Heartbeat",{}]', ANSWERED),
    Garbage("a binary frame of random bytes", bytes(range(256)), UNREADABLE),
    Garbage("an empty text", "", UNREADABLE),
    Garbage("blanks only", " \n\t ", UNREADABLE),
    Garbage("words", "hello, are you there?", UNREADABLE),
    Garbage("HTML", "<html><body>502 Bad Gateway</body></html>", UNREADABLE),
    Garbage("half a frame", '[2,"x","Heartb', UNREADABLE),
    Garbage("two frames in one", '[2,"x","Heartbeat",{}][2,"y","Heartbeat",{}]', UNREADABLE),
    Garbage("a frame in a frame", '[[2,"x","Heartbeat",{}]]', UNREADABLE),
    Garbage("an object", '{"messageTypeId":2,"action":"Heartbeat"}', UNREADABLE),
    Garbage("brackets, 60 000 deep", "[" * 60_000, UNREADABLE),
    Garbage("a payload 50 deep", f'[2,"x","DataTransfer",{nested(50)}]', ANSWERED),
    Garbage("a payload 300 deep", f'[2,"x","DataTransfer",{nested(300)}]', BAD_PAYLOAD),
    Garbage("a payload 1 000 deep", f'[2,"x","DataTransfer",{nested(1000)}]', BAD_PAYLOAD),
    Garbage("a payload 10 000 deep", f'[2,"x","DataTransfer",{nested(10_000)}]', UNREADABLE),
    Garbage("a number beyond all floats", '[2,"x","Heartbeat",{"a":1e999}]', UNREADABLE),
    Garbage("a number of 400 digits", f'[2,"x","Heartbeat",{{"a":{"9" * 400}}}]', UNREADABLE),
    Garbage("a number of 300 digits", f'[2,"x","MeterValues",{{"connectorId":{"9" * 300}}}]', ANSWERED),
    Garbage("a number of 50 000 digits", f'[2,"x","Heartbeat",{{"a":{"9" * 50_000}}}]', UNREADABLE),
    Garbage("NaN and Infinity", '[2,"x","Heartbeat",{"a":NaN,"b":-Infinity}]', ANSWERED),
    Garbage("duplicate keys", '[2,"x","Heartbeat",{"a":1,"a":2}]', ANSWERED),
    Garbage("60 000 bytes of empty keys", call("{" + ",".join(['"":0'] * 12_000) + "}"), ANSWERED),
    Garbage(
        "3 000 keys the schema does not have",
        call(json.dumps(dict.fromkeys(map(str, range(3000))))),
        ANSWERED,
    ),
    Garbage("invalid UTF-8", b'[2,"x","DataTransfer",{"vendorId":"\xff\xfe\xc3"}]', ANSWERED),
    Garbage("UTF-16", '[2,"x","Heartbeat",{}]'.encode("utf-16"), UNREADABLE),
    Garbage("a byte order mark", '\ufeff[2,"x","Heartbeat",{}]', ANSWERED),
    Garbage("lone surrogates", '[2,"x","DataTransfer",{"vendorId":"\\ud800","\\udfff":1}]', ANSWERED),
    Garbage("NUL characters", '[2,"x","DataTransfer",{"vendorId":"a\\u0000b\\u0000"}]', ANSWERED),
    Garbage("raw control characters", '[2,"x","DataTransfer",{"vendorId":"a\x00\x1b[31m\n"}]', ANSWERED),
    Garbage("single quotes", "[2,'x','Heartbeat',{}]", UNREADABLE),
    Garbage("message type 7", '[7,"x",{}]', {"1.6": IGNORED, "2.0.1": [4, "x", "MessageTypeNotSupported"]}),
    Garbage("message type -2", '[-2,"x",{}]', {"1.6": IGNORED, "2.0.1": [4, "x", "MessageTypeNotSupported"]}),
    Garbage("the message type as text", '["2","x","Heartbeat",{}]', UNREADABLE),
    Garbage("the message type 2.0", '[2.0,"x","Heartbeat",{}]', UNREADABLE),
    Garbage("the message type as true", '[true,"x","Heartbeat",{}]', UNREADABLE),
    Garbage("a missing id", '[2,"Heartbeat",{}]', [4, "Heartbeat"]),
    Garbage("an id of null", '[2,null,"Heartbeat",{}]', UNREADABLE),
    Garbage("an id that is a list", '[2,["x"],"Heartbeat",{}]', UNREADABLE),
    Garbage("an id of 10 000 characters", f'[2,"{"i" * 10_000}","Heartbeat",{{}}]', [3, "i" * 10_000]),
    Garbage("an id that is a number", '[2,17,"Heartbeat",{}]', [3, 17]),
    Garbage(
        "an id that is a very large number",
        '[2,18446744073709551615,"Heartbeat",{}]',
        [3, 18446744073709551615],
    ),
    Garbage("an empty id", '[2,"","Heartbeat",{}]', [3, ""]),
    Garbage("an unknown action", '[2,"x","Sing",{}]', UNKNOWN),
    Garbage("an action in lower case", '[2,"x","heartbeat",{}]', UNKNOWN),
    Garbage("an action that is ours to send", '[2,"x","ReserveNow",{"reservationId":7}]', UNKNOWN),
    Garbage("an action of the other kind", '[2,"x","__class__",{}]', UNKNOWN),
    Garbage("an action of 50 000 characters", f'[2,"x","{"A" * 50_000}",{{}}]', UNKNOWN),
    Garbage("an action that is a number", '[2,"x",7,{}]', BAD_PAYLOAD),
    Garbage("a payload that is a list", '[2,"x","Heartbeat",[]]', BAD_PAYLOAD),
    Garbage("a payload that is text", '[2,"x","Heartbeat","{}"]', BAD_PAYLOAD),
    Garbage("a payload of null", '[2,"x","Heartbeat",null]', ANSWERED),
    Garbage("no payload", '[2,"x","Heartbeat"]', ANSWERED),
    Garbage("more elements than there should be", '[2,"x","Heartbeat",{},{},"and more",7]', ANSWERED),
    Garbage("a CALLRESULT nobody asked for", '[3,"x",{"status":"Accepted"}]', IGNORED),
    Garbage("a CALLERROR nobody asked for", '[4,"x","GenericError","",{}]', IGNORED),
    Garbage("a CALLRESULT without anything", "[3]", IGNORED),
    Garbage("a CALLRESULTERROR of 2.1", '[5,"x","GenericError","",{}]', IGNORED),
    Garbage("a SEND of 2.1", '[6,"x","NotifyPeriodicEventStream",{}]', IGNORED),
    Garbage(
        "an SQL injection",
        json.dumps([2, "x", "DataTransfer", {"vendorId": "'; DROP TABLE chargers; --"}]),
        ANSWERED,
    ),
]
