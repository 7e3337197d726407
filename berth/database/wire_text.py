"""Text as chargers send it: whatever JSON and URLs can carry, stored by databases that cannot."""

import sqlalchemy as sa


class WireText(sa.types.TypeDecorator[str]):
    """A text column that takes NUL (PostgreSQL refuses it) and lone surrogates (both do) as replacements."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """The text with what no database stores replaced."""
        if value is None:
            return None
        return value.replace("\0", "\ufffd").encode(errors="replace").decode()
