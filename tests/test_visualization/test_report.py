"""What a report's file holds."""
import os
import re

import numpy as np
import pytest

from intr_mm.visualization import HTMLReport
from .report_data import EXPLANATIONS, HOSTILE, NAMES, birds, explain


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
