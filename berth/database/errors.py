"""What can go wrong between Berth and its directory."""


class DirectoryError(Exception):
    """Base of the directory's errors."""


class UnreachableError(DirectoryError):
    """The database does not answer, or refuses us."""


class SchemaError(DirectoryError):
    """The database has no schema, or one of another release of Berth."""


class AlreadyExists(DirectoryError):
    """Another row has this value already; `field` names it."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(f"{field} is taken")
