"""The history of the database's schema; revisions are written by hand."""
