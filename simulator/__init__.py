"""Chargers that behave, and misbehave, like real ones.

They speak OCPP 1.6 and 2.0.1 over real websockets, know nothing of Berth, and are controlled by
Python methods or a small local HTTP control. `Fleet` runs many of them; `ReservationTable` is the
charger's mind without its socket.
"""

from simulator.charger import SimulatedCharger
from simulator.clock import ManualClock
from simulator.fleet import DEMO, Fleet, run_demo, run_fleet
from simulator.memory import FileMemory, ObjectMemory
from simulator.misbehaviour import Wrong
from simulator.personality import Personality, load_personality, personality_names
from simulator.ports import Phase, Port, PortStatus
from simulator.record import FrameRecord
from simulator.reservations import Answer, Entry, Reservation, ReservationTable

__all__ = [
    "DEMO",
    "Answer",
    "Entry",
    "FileMemory",
    "Fleet",
    "FrameRecord",
    "ManualClock",
    "ObjectMemory",
    "Personality",
    "Phase",
    "Port",
    "PortStatus",
    "Reservation",
    "ReservationTable",
    "SimulatedCharger",
    "Wrong",
    "load_personality",
    "personality_names",
    "run_demo",
    "run_fleet",
]
