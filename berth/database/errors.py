"""What can go wrong between Berth and its database."""


class DatabaseError(Exception):
    """Base of the database's errors."""


class UnreachableError(DatabaseError):
    """The database does not answer, or refuses us."""


class SchemaError(DatabaseError):
    """The database has no schema, or one of another release of Berth."""


class AlreadyExists(DatabaseError):
    """Another row has this value already; `field` names it."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(f"{field} is taken")
