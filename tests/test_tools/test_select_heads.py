import re
import shutil

import mmcv
import numpy as np
import pytest
import torch

from ..tiny import CONFIG, save_model, tiny_model


@pytest.fixture
def run(tmp_path, monkeypatch, run_tool):
    checkpoint = save_model(
        tiny_model(std=5), tmp_path / 'tiny.pth', ['wren', 'crow', 'gull'])
    monkeypatch.chdir(tmp_path)

    def run(*flags):
        run_tool('analysis_tools/select_heads.py', CONFIG, checkpoint, *flags)

    return run


def test_order_and_curve_are_printed_and_drawn(run, images, tmp_path, capsys):
    out = tmp_path / 'figure.png'
    photo = images / 'val/class_0/0.jpg'
    run('--img', photo, '--label', 'crow', '--out', out)
    output = capsys.readouterr().out
    least, most = output.split('Class crow, ')[1:]
    assert least.startswith('least') and most.startswith('most')
    first, last = set(), set()
    for block in (least, most):
        rows = re.findall(r'^ *([\d.]+)% +(-?[\d.]+)  (.*)$', block, re.M)
        scores, odds, words = zip(*rows)
        assert words[0] == 'as it is'
        assert sorted(
            words[1:]) == ['head 0 looks evenly', 'head 1 looks evenly']
        for score, value in zip(scores, odds):
            assert float(score) == pytest.approx(
                100 * float(torch.tensor(float(value)).sigmoid()), abs=.2)
        first.add(odds[0])
        last.add(odds[-1])
    assert len(first) == len(last) == 1
    picture = mmcv.imread(str(out), channel_order='rgb')
    # A curve for each order, below the maps, and not on them.
    for colour in ((31, 119, 180), (214, 39, 40)):
        rows, columns = np.nonzero((abs(picture - np.float32(colour))
                                    < 9).all(-1))
        assert rows.min() > picture.shape[0] / 3
        assert np.ptp(columns) > .6 * picture.shape[1]
    assert np.ptp(picture[:picture.shape[0] // 3], axis=(0, 1)).min() > 100


def test_the_photo_is_not_replaced(run, images, tmp_path):
    photo = tmp_path / 'heads.png'
    shutil.copy(images / 'val/class_0/0.jpg', photo)
    with pytest.raises(SystemExit, match="'heads.png' is what is read, w"):
        run('--img', photo)


def test_predicted_class_is_the_default(run, images, tmp_path, capsys):
    run('--img', images / 'val/class_0/0.jpg')
    best = re.search(r'Class (\w+), .*\n.*\n *([\d.]+)%',
                     capsys.readouterr().out)
    # The predicted class of three has more than its share.
    assert float(best[2]) > 33
    assert (tmp_path / 'heads.png').is_file()


def test_missing_image_is_named(run):
    with pytest.raises(SystemExit, match="'no.jpg' is no file: name"):
        run('--img', 'no.jpg')


@pytest.mark.parametrize('label', ['top2', 'gt', 'wren2', '3'])
def test_what_is_not_one_class_is_refused(run, images, label):
    with pytest.raises(SystemExit, match=rf'[Cc]lass .*{label}'):
        run('--img', images / 'val/class_0/0.jpg', '--label', label)
