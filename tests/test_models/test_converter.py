import json
import runpy

import pytest
import torch

from intr_mm.utils import detr_to_intr, official_to_mmpretrain
from .golden import FOLDER, GoldenCase

CONVERTER = 'tools/model_converters/intr_to_mmpretrain.py'


@pytest.mark.parametrize('content, error', [
    (dict(model={'fc.weight': torch.zeros(1)}), 'not an official INTR'),
    ([1, 2], 'holds a list'),
    (dict(
        model={
            'presence_vector.weight': torch.zeros(1, 4),
            'query_embed.weight': torch.zeros(2, 4),
            'bbox_embed.layers.0.weight': torch.zeros(1)
        }), 'bbox_embed.layers.0.weight'),
])
def test_wrong_files_write_nothing(tmp_path, monkeypatch, content, error):
    torch.save(content, tmp_path / 'src.pth')
    src, dst = str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth')
    monkeypatch.setattr('sys.argv', [CONVERTER, src, dst])
    with pytest.raises(SystemExit, match=error) as exit:
        runpy.run_path(CONVERTER, run_name='__main__')
    assert src in str(exit.value) and '\n' not in str(exit.value)
    assert [p.name for p in tmp_path.iterdir()] == ['src.pth']


@pytest.mark.parametrize('num_classes', [7, 100, 250])
def test_detr_becomes_the_start_of_intr(num_classes):
    """The query rule of the official code; all else is renamed."""
    shapes = json.loads((FOLDER / 'detr_r50_state_dict.json').read_text())
    detr = {name: torch.randn(shape) for name, shape in shapes.items()}
    state_dict, dropped = detr_to_intr(detr, num_classes, noise_frac=.5)
    assert len(dropped) == 8 and len(state_dict) == len(detr) - 8

    model = GoldenCase('r50').model()
    missing = set(model.state_dict()) - set(state_dict)
    assert {
        name
        for name in missing if not name.endswith('num_batches_tracked')
    } == {'head.presence_vector.weight', 'head.presence_vector.bias'}

    queries = state_dict.pop('head.query_embed.weight')
    detr_queries = detr['query_embed.weight']
    kept = min(num_classes, 100)
    assert len(queries) == num_classes
    assert torch.equal(queries[:kept], detr_queries[:kept])
    if num_classes > 100:
        noise = queries[100:200] - detr_queries
        assert noise.std() == pytest.approx(.5, rel=.05)
        again, _ = detr_to_intr(detr, num_classes, noise_frac=.5)
        assert torch.equal(again['head.query_embed.weight'], queries)
    renamed = official_to_mmpretrain({
        k: v
        for k, v in detr.items() if k not in dropped
    })
    assert all(renamed[name] is tensor for name, tensor in state_dict.items())
