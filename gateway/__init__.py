"""The chargers' websockets: who may connect, OCPP in both versions, events on their way to workflows."""
