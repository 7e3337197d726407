"""The one way the commands tell people that something is not as it should be."""


class StartError(Exception):
    """Berth cannot start or go on; the text is one sentence for people that names what to change.

    `cli.main` prints it as it is and ends with exit code 2.
    """
