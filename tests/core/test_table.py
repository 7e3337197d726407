"""What comes of every situation and everything that can happen in it, as the table says."""

from tests.core.table import FILE, rows

MEANT = "a change of what Berth does; if it is meant: python -m tests.core.table"


def test_everything_that_can_happen_has_the_outcome_that_the_table_says() -> None:
    expected = FILE.read_text("utf-8").splitlines()
    differing = [f"- {was}\n+ {now}" for was, now in zip(expected, rows(), strict=True) if was != now]
    assert not differing, "\n".join([MEANT, *differing])
