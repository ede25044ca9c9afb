"""Names in scripts that matplotlib's own font lacks."""
import warnings

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from intr_mm.visualization import explanation_figure, fonts, render
from .report_data import EXPLANATIONS, NAMES

BIRD, FISH = '鳥', '魚'


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A font that has a square for a bird."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for corner in ((100, 700), (900, 700), (900, 0)):
        pen.lineTo(corner)
    pen.closePath()
    square = pen.glyph()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder(['.notdef', 'bird'])
    builder.setupCharacterMap({ord(BIRD): 'bird'})
    builder.setupGlyf({'.notdef': square, 'bird': square})
    builder.setupHorizontalMetrics({'.notdef': (1000, 0), 'bird': (1000, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable(dict(familyName='Birds', styleName='Regular'))
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / 'birds.ttf')
    (tmp_path / 'a.ttf').write_bytes(b'no font')
    monkeypatch.setattr(font_manager, 'findSystemFonts',
                        lambda: [str(p) for p in tmp_path.iterdir()])
    manager = font_manager.fontManager
    monkeypatch.setattr(manager, 'ttflist', [*manager.ttflist])
    said = []
    monkeypatch.setattr(fonts, 'print_log',
                        lambda text, **_: said.append(text))
    monkeypatch.setattr(fonts, '_told', set())
    fonts._find.cache_clear()
    yield said
    fonts._find.cache_clear()


def test_an_installed_font_has_it(installed):
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # of a glyph that is missing
        figure = explanation_figure(EXPLANATIONS[3], [BIRD, *NAMES[1:]])
        render(figure)
    assert {tuple(text.get_family())
            for text in figure.texts} == {('sans-serif', 'Birds')}
    assert not installed
    # nothing changes where nothing is missing: not for what only joins
    own = fonts.font_families('Grünspecht \u200d ←')
    assert own == fonts.font_families('wren') == ['sans-serif']


@pytest.mark.filterwarnings('ignore:Glyph')
def test_what_no_font_has_is_said_once(installed):
    for _ in range(2):
        render(explanation_figure(EXPLANATIONS[3], [FISH + BIRD, *NAMES[1:]]))
    assert len(installed) == 1
    assert f"characters '{FISH}', which stand as boxes" in installed[0]


def test_wide_characters_are_broken_to_fit(installed):
    figure = explanation_figure(EXPLANATIONS[3], [BIRD * 30, *NAMES[1:]])
    figure.draw_without_rendering()
    for text in figure.texts:
        box = text.get_window_extent()
        assert box.x0 > 0 and box.x1 < figure.bbox.width
        assert box.y0 > 0 and box.y1 < figure.bbox.height
