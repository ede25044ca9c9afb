"""What a report's file holds."""
import os
import re
import zlib
from dataclasses import replace

import numpy as np
import pytest

from intr_mm.visualization import HTMLReport
from intr_mm.visualization.report_encoding import encode_explanation
from .report_data import EVIDENCE, EXPLANATIONS, HOSTILE, NAMES, birds, explain


def test_one_file_that_asks_for_nothing(tmp_path):
    birds().write(tmp_path / 'new' / 'report.html')
    html = (tmp_path / 'new' / 'report.html').read_text()
    assert not re.search(r'(src|href)="', html)
    # the name of SVG, which nobody opens
    assert set(re.findall(r'https?://[^\'"]+',
                          html)) == {'http://www.w3.org/2000/svg'}
    assert HOSTILE not in html
    assert "default-src 'none'" in html


@pytest.mark.parametrize('is_noise', [False, True])
def test_bytes_per_image(tmp_path, is_noise):
    """1,000 photos take less than 40 MB: the worst of photos, and maps of 6
    classes, 8 heads and 14 x 14 cells."""
    explanation = explain(0, 0, 0, .9, heads=8, layers=1, grid=(14, 14))
    explanation.classes = [0, 1, 2, 3, 4, 5]
    rng = np.random.default_rng(0)
    explanation.maps = rng.dirichlet(np.full(196, .2),
                                     (1, 6, 8)).reshape(1, 6, 8, 14, 14)
    rows, columns = np.mgrid[:1200, :1600]
    explanation.image = np.stack(
        [rows // 5, columns // 7,
         (rows + columns) // 11], axis=-1).astype(np.uint8)
    if is_noise:
        explanation.image = rng.integers(0, 256, (1200, 1600, 3), np.uint8)
    sizes = []
    for number in (1, 11):
        report = HTMLReport()
        for _ in range(number):
            report.add(explanation)
        report.write(tmp_path / 'report.html')
        sizes.append((tmp_path / 'report.html').stat().st_size)
    meta = report._encoded[0].meta
    assert (meta['width'], meta['height']) == (320, 240)
    assert sizes[0] + 999 * (sizes[1] - sizes[0]) / 10 < 40e6


def test_writes_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / 'report.html'
    path.write_text('old')
    report = HTMLReport(NAMES)
    report.add(EXPLANATIONS[0])

    def fail(*_):
        raise OSError('no space left')

    monkeypatch.setattr(os, 'fsync', fail)
    with pytest.raises(OSError, match='no space'):
        report.write(path)
    assert path.read_text() == 'old'


def test_what_does_not_fit_is_refused():
    report = HTMLReport(NAMES[:2])
    with pytest.raises(ValueError, match='names for 2 classes'):
        report.add(EXPLANATIONS[0])
    broken = explain(0, 0, 0, .9)
    broken.maps[0, 0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="'photo_0.jpg' are not finite"):
        report.add(broken)
    assert len(report) == 0


def test_evidence_within_half_a_code():
    encoded = encode_explanation(EVIDENCE[0])
    meta, evidence = encoded.meta, EVIDENCE[0].evidence
    assert meta['kind'] == 'evidence' and meta['layers'] == [0]
    codes = np.frombuffer(zlib.decompress(encoded.maps), np.uint8)
    found = (codes.reshape(evidence.shape) - 128.) / 127 * meta['peaks'][0]
    np.testing.assert_allclose(
        found, evidence, rtol=0, atol=1.001 * meta['peaks'][0] / 254)
    assert meta['peaks'][0] == pytest.approx(np.abs(evidence).max(), rel=1e-4)
    np.testing.assert_allclose(meta['sums'], evidence.sum((-2, -1)), rtol=1e-4)
    np.testing.assert_allclose(meta['found'], .6, rtol=1e-4)
    # the scale holds every map, sum and difference
    sums = evidence.sum(1)
    assert meta['top'] == pytest.approx(
        max(np.abs(sums).max(),
            np.ptp(sums, axis=0).max()), rel=1e-4)


@pytest.mark.parametrize('explanation', [EVIDENCE[0], EXPLANATIONS[0]])
def test_ends_of_scales(explanation):
    """Of each layer of attention, of each class of evidence."""
    meta = encode_explanation(explanation).meta
    heads = explanation.evidence
    if heads is None:
        heads = 35 * explanation.maps
        joint = heads.mean(2)
    else:
        joint = heads.sum(1)
    for ends, parts in ((meta['head_ends'], heads), (meta['mean_ends'],
                                                     joint)):
        assert len(ends) == len(parts)
        for (top, highest), part in zip(ends, np.abs(parts)):
            assert top == pytest.approx(np.quantile(part, .998), rel=1e-4)
            assert highest == pytest.approx(part.max(), rel=1e-4)
            assert top < highest


def test_no_evidence_at_all():
    """A head that finds nothing is drawn clear."""
    nothing = replace(EVIDENCE[0], evidence=0 * EVIDENCE[0].evidence)
    encoded = encode_explanation(nothing)
    assert set(zlib.decompress(encoded.maps)) == {128}


DELETION = tuple(
    dict(value=value, low=value - 2, high=value + 2, num_images=16)
    for value in (12., 40.))


@pytest.mark.parametrize('kept, level, sentence', [
    (1, 'decide', 'decide: with even attention in their place 10.0 of 100.0 '
     '% top-1 remain (chance 10.0, the most frequent class 10.0); deleting '
     'where they point leaves a mean score of 12.0 % where chance leaves '
     '40.0.'),
    (4, 'in part', 'decide in part: with even attention in their place 40.0'),
    (6, 'not', 'do not decide: with even attention in their place 60.0 of'),
])
def test_says_whether_maps_decide(tmp_path, kept, level, sentence):
    names = [f'bird {i}' for i in range(10)]
    report = HTMLReport(names, deletion=DELETION)
    for i in 4 * list(range(10)):
        explanation = explain(i, i, i, .9, layers=1, classes=10)
        even = np.eye(10)[i if i < kept else (i + 1) % 10]
        report.add(replace(explanation, even_scores=even))
    report.write(tmp_path / 'report.html')
    html = (tmp_path / 'report.html').read_text()
    assert (f'<p id="verdict" data-level="{level}">The maps shown '
            f'{sentence}') in html
    assert 'measured: 40 with even attention and 16 by deletion.' in html


def test_says_nothing_of_what_is_not_known(tmp_path):
    birds().write(tmp_path / 'old.html')
    assert 'even attention, ' not in (tmp_path / 'old.html').read_text()
    birds(EVIDENCE).write(tmp_path / 'evidence.html')
    html = (tmp_path / 'evidence.html').read_text()
    assert 'Whether the maps shown decide is not known: with even' in html
    assert '7 images are too few.' in html
    assert 'These maps add up to the scores.' in html


def test_facts_are_text(tmp_path):
    report = HTMLReport(NAMES, facts=dict(Checkpoint=HOSTILE))
    report.write(tmp_path / 'report.html')
    html = (tmp_path / 'report.html').read_text()
    assert HOSTILE not in html and '"facts":{"Checkpoint":' in html
