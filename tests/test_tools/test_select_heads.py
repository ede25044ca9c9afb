import re
import runpy
import sys
from pathlib import Path

import mmcv
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from ..tiny import CONFIG

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/select_heads.py'


@pytest.fixture
def run(tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(CONFIG).model)
    torch.nn.init.normal_(model.head.query_embed.weight, std=5)
    path = tmp_path / 'tiny.pth'
    meta = dict(dataset_meta=dict(classes=['wren', 'crow', 'gull']))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)

    def run(*flags):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(
            sys, 'argv',
            ['select_heads.py', CONFIG,
             str(path), *map(str, flags)])
        runpy.run_path(str(TOOL), run_name='__main__')

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
            words[1:]) == ['head 1 looks evenly', 'head 2 looks evenly']
        for score, value in zip(scores, odds):
            assert float(score) == pytest.approx(
                100 * float(torch.tensor(float(value)).sigmoid()), abs=.2)
        first.add(odds[0])
        last.add(odds[-1])
    assert len(first) == len(last) == 1
    picture = mmcv.imread(str(out))
    assert picture.shape[1] > 500 and picture.std() > 10


def test_predicted_class_is_the_default(run, images, tmp_path, capsys):
    run('--img', images / 'val/class_0/0.jpg')
    best = re.search(r'Class (\w+), .*\n.*\n *([\d.]+)%',
                     capsys.readouterr().out)
    # The predicted class of three has more than its share.
    assert float(best[2]) > 33
    assert (tmp_path / 'heads.png').is_file()


def test_missing_image_is_named(run):
    with pytest.raises(SystemExit, match="Image 'no.jpg' does not exist"):
        run('--img', 'no.jpg')
