"""Configuration of Sphinx. `make docs` builds the pages."""
from docutils import nodes
from latex2mathml.converter import convert
from mmcv.transforms.utils import cache_randomness

from intr_mm import __version__

# autodoc looks at methods from the class, where mmcv's descriptor fails.
_get = cache_randomness.__get__
cache_randomness.__get__ = (lambda self, obj, cls=None: self
                            if obj is None else _get(self, obj, cls))

project = 'intr_mm'
author = 'intr_mm contributors'
copyright = f'2026, {author}'
version = release = __version__

extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
]
exclude_patterns = ['_build']

# Anchors of headings, so that links such as `page.md#heading` are checked.
myst_heading_anchors = 3
myst_enable_extensions = ['dollarmath']

# Types stand in signatures; the pages repeat them beside the descriptions.
autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented'
autodoc_member_order = 'bysource'
autodoc_default_options = {'members': True, 'show-inheritance': True}
napoleon_numpy_docstring = False

html_theme = 'furo'
html_title = f'intr_mm {release}'
html_math_renderer = 'mathml'


def _escape_stars(app, what, name, obj, options, lines):
    """Napoleon escapes the first of two names only."""
    lines[:] = [
        line.replace('*args, **kwargs:', r'\*args, \*\*kwargs:')
        for line in lines
    ]


def _write_mathml(display):
    """Formulas that browsers draw by themselves, without a network."""

    def visit(translator, node):
        math = convert(node.astext(), display=display)
        if display == 'block':  # room for what is above and below a line
            math = f'<div style="padding: .5em 0">{math}</div>'
        translator.body.append(math)
        raise nodes.SkipNode

    return visit, None


def setup(app):
    app.add_html_math_renderer(
        'mathml',
        inline_renderers=_write_mathml('inline'),
        block_renderers=_write_mathml('block'))
    app.connect('autodoc-process-docstring', _escape_stars, priority=1)
