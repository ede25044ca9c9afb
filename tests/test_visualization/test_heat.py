"""Colours are chosen by how light they look: CIELAB L*."""
import re
import runpy
import sys

import numpy as np
import pytest

from intr_mm.visualization.heat import (attention_scale, difference_colors,
                                        difference_scale, heat_colors,
                                        signed_scale)
from ..tiny import ROOT

PHOTO = dict(black=0., grey=.5, white=1.)
# What those see who lack a cone: Machado, Oliveira and Fernandes, A
# Physiologically-based Model for Simulation of Color Vision Deficiency, 2009.
EYES = dict(
    normal=np.eye(3),
    protan=[[.152, 1.053, -.205], [.115, .786, .099], [-.004, -.048, 1.052]],
    deutan=[[.367, .861, -.228], [.280, .673, .047], [-.012, .043, .969]],
    tritan=[[1.256, -.077, -.179], [-.078, .931, .148], [.005, .691, .304]])


def lab(colors, eye='normal'):
    """CIELAB of sRGB colours (n, 3) under D65, see IEC 61966-2-1."""
    linear = np.where(colors <= .04045, colors / 12.92,
                      ((colors + .055) / 1.055)**2.4)
    linear = (linear @ np.transpose(EYES[eye])).clip(0, 1)
    xyz = linear @ np.transpose([[.4124, .3576, .1805], [.2126, .7152, .0722],
                                 [.0193, .1192, .9505]])
    f = xyz / (.9505, 1, 1.089)
    f = np.where(f > .008856, np.cbrt(f), 7.787 * f + 16 / 116)
    return np.stack((116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 *
                     (f[:, 1] - f[:, 2])), 1)


def on_photo(cmap, brightness):
    """The colours of a scale on a place of a photo, as pictures and browsers
    blend them."""
    colors = cmap(np.arange(256))
    share = colors[:, 3:]
    return share * colors[:, :3] + (1 - share) * brightness


@pytest.mark.parametrize('eye', EYES)
@pytest.mark.parametrize('place', PHOTO)
def test_more_is_lighter_everywhere(place, eye):
    lightness = lab(on_photo(heat_colors(), PHOTO[place]), eye)[:, 0]
    assert (np.diff(lightness) > 0).all()
    low, middle, high = lightness[[0, 128, 255]]
    assert high - low > 55
    # what the old scale lost: its lower half
    assert middle - low > (high - low) / 3


def test_a_value_looks_much_alike_everywhere():
    """It adds about as much light to black, grey and white."""
    added = [
        lightness - lightness[0]
        for lightness in (lab(on_photo(heat_colors(), brightness))[:, 0]
                          for brightness in PHOTO.values())
    ]
    assert np.ptp(added, axis=0).max() < 12


def test_docs_tell_what_the_script_prints(tmp_path, monkeypatch, capsys):
    """Also that it measures as this file does."""
    out = tmp_path / 'heat.png'
    monkeypatch.setattr(sys, 'argv', ['draw_heat.py', '--out', str(out)])
    runpy.run_path(str(ROOT / 'docs/draw_heat.py'), run_name='__main__')
    assert out.stat().st_size > 1e5
    page = ' '.join((ROOT / 'docs/user_guides/figures.md').read_text().split())
    rows = re.findall(r'^(.*), on (\w+) +(\d+) +(\d+) +(\d+)$',
                      capsys.readouterr().out, re.M)
    assert len(rows) == 6
    for name, place, *numbers in rows:
        assert f'{numbers[0]} to {numbers[1]}' in page, (name, place)
        if name == 'now':
            expected = lab(on_photo(heat_colors(), PHOTO[place]))
            assert np.abs(expected[[0, 128, 255], 0] -
                          np.float32(numbers)).max() < .6
    assert ', '.join(row[4]
                     for row in rows[3:5]) + f' and {rows[5][4]}' in page


@pytest.mark.parametrize('place', PHOTO)
def test_differences_grow_lighter_both_ways(place):
    lightness = lab(on_photo(difference_colors(), PHOTO[place]))[:, 0]
    assert (np.diff(lightness[128:]) > 0).all()
    assert (np.diff(lightness[1:129]) < 0).all()
    assert abs(lightness[0] - lightness[255]) < 2
    assert lightness[255] - lightness[128] > 50


@pytest.mark.parametrize('eye', EYES)
def test_signs_differ_for_all_eyes(eye):
    """By far more than 2.3, a difference that is just seen."""
    colors = lab(on_photo(difference_colors(), .5), eye)
    for step in (32, 64, 127):
        assert np.linalg.norm(colors[128 + step] - colors[128 - step]) > 20


def peaked():
    """Broad attention, and one cell of 400 with 100 times as much."""
    values = np.random.default_rng(0).uniform(.2, 8, (400, 100))
    values[7] = 800
    return values


def test_one_peaked_cell_does_not_empty_a_page():
    scale = attention_scale(peaked(), quantile=.99)
    assert scale.norm.vmax == 10 and scale.extend == 'max'
    whole = attention_scale(peaked(), quantile=1)
    assert whole.norm.vmax == 800 and whole.extend == 'neither'
    # beyond the end there is the last colour, and no other
    assert scale.cmap(scale.norm(800.)) == scale.cmap(255)


@pytest.mark.parametrize('make', [signed_scale, difference_scale])
def test_signed_scales_are_as_long_both_ways(make):
    scale = make(peaked() * -1, 'nats', quantile=.99)
    assert scale.norm.vmin == -scale.norm.vmax > -20
    assert scale.norm(0) == pytest.approx(.5)
    assert scale.extend == 'both'
    assert np.all(np.abs(scale.ticks) <= scale.norm.vmax)


@pytest.mark.parametrize('value', [0, .5])
def test_maps_of_one_value(value):
    """As of a head that looks nowhere."""
    values = np.full((3, 3), value)
    for scale in (attention_scale(values), signed_scale(values, ''),
                  difference_scale(values, '')):
        assert np.isfinite(scale.norm(values)).all()
