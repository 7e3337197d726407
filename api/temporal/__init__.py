"""The API's client of the workflows: reservations, their list, short commands, errors."""
