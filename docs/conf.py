"""How the pages of this folder become a site: ``python -m sphinx -W -b html docs build/site``.

Markdown is read by MyST; the notebooks are Markdown too, and are run when the site is made, so that what they show is what
the code gives. Docstrings are numpydoc.
"""

from importlib import metadata

project = "tsogrid"
author = "the tsogrid developers"
release = metadata.version("tsogrid")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "tsogrid"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
numpydoc_show_class_members = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
default_role = "py:obj"
