"""The history of the directory's schema; revisions are written by hand."""
