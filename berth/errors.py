"""What stops a process of Berth from starting."""


class StartError(Exception):
    """Berth cannot start or go on; the text is a sentence for people that names what to change."""


class AlreadySaid(StartError):
    """The process that failed has printed its sentence itself; this one only has to end."""
