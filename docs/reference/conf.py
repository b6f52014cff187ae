"""How the reference is built: `./run sphinx-build -W -q docs/reference site`."""

import os
import sys
from pathlib import Path

# Before Prefect and LiteLLM are imported, which autodoc does.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
sys.path.insert(0, str(Path(__file__).parent))

project = "prefect-governor"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "fields",
    "markup",
]
html_theme = "furo"
html_title = "prefect-governor reference"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
myst_heading_anchors = 3

python_maximum_signature_line_length = 88
python_display_short_literal_types = True
autodoc_typehints_format = "short"
napoleon_use_ivar = True
napoleon_attr_annotations = True
napoleon_numpy_docstring = False
# Dashes alone: quotes belong to what is quoted.
smartquotes_action = "D"
