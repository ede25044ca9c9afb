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
    assert 'http://' not in html and 'https://' not in html
    assert HOSTILE not in html
    assert "default-src 'none'" in html


def test_bytes_per_image():
    """Maps of 2 layers, 5 classes, 8 heads and 14 x 14 cells have 15,680."""
    explanation = explain(0, 0, 0, .9, heads=8, grid=(14, 14))
    explanation.classes = [0, 1, 2, 3, 4]
    explanation.maps = np.repeat(explanation.maps[:, :1], 5, axis=1)
    rng = np.random.default_rng(0)
    explanation.maps = rng.permuted(
        explanation.maps.reshape(-1, 196), axis=1).reshape(2, 5, 8, 14, 14)
    rows, columns = np.mgrid[:1200, :1600]
    explanation.image = np.stack(
        [rows // 5, columns // 7,
         (rows + columns) // 11], axis=-1).astype(np.uint8)
    report = HTMLReport()
    report.add(explanation)
    encoded = report._encoded[0]
    assert (encoded.meta['width'], encoded.meta['height']) == (320, 240)
    assert len(encoded.maps) < 15680
    assert sum(map(len, encoded.base64())) < 40_000


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


def test_no_evidence_at_all():
    """A head that finds nothing is drawn clear."""
    nothing = replace(EVIDENCE[0], evidence=0 * EVIDENCE[0].evidence)
    encoded = encode_explanation(nothing)
    assert set(zlib.decompress(encoded.maps)) == {128}


@pytest.mark.parametrize('kept, sentence', [
    (1, 'decide: with even attention in their place 10 %'),
    (4, 'decide in part: with even attention in their place 40 %'),
    (5, 'do not decide: with even attention in their place 50 %'),
])
def test_says_whether_maps_decide(tmp_path, kept, sentence):
    report = HTMLReport()
    for i in range(10):
        even = np.eye(len(NAMES))[0 if i < kept else 3]
        report.add(replace(EXPLANATIONS[0], layers=[1], even_scores=even))
    report.write(tmp_path / 'report.html')
    html = (tmp_path / 'report.html').read_text()
    assert f'The maps shown {sentence} of the predictions stay.</p>' in html
    assert ('<p class="wrong">' in html) == ('not' in sentence)


def test_says_nothing_of_what_is_not_known(tmp_path):
    birds().write(tmp_path / 'old.html')
    assert 'even attention, ' not in (tmp_path / 'old.html').read_text()
    birds(EVIDENCE).write(tmp_path / 'evidence.html')
    assert ('These maps add up to the scores. The maps shown decide'
            in (tmp_path / 'evidence.html').read_text())
