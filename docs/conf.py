"""How the documentation is built: `make docs`. Its pages are plain Markdown, and read well without it."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent

project = "Berth"
(version,) = re.findall(
    r'^__version__ = "(.+)"$', (ROOT / "berth" / "__init__.py").read_text("utf-8"), re.MULTILINE
)
release = version

# The source folder is the repository, so that the links of its front pages are checked too.
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**"]
exclude_patterns = [".*", "build", "var", "tests"]
root_doc = "docs/index"

extensions = ["myst_parser"]
myst_heading_anchors = 4  # links to headings, made as code hosts make them
smartquotes = False  # an option copied from prose must stay one
highlight_language = "none"

html_theme = "furo"
html_title = f"Berth {version}"
html_copy_source = False
html_show_copyright = False
html_extra_path = ["site"]
