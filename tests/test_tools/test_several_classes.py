"""Tools, hook and inferencer where several classes can be true."""
import json
import re

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from intr_mm.apis import INTRInferencer
from intr_mm.datasets import RingSpecies
from intr_mm.deploy.exportable_classifier import ExportableClassifier
from intr_mm.explainers import EvidenceExplainer
from intr_mm.models import explain_batch
from ..tiny import ROOT, build_runner, save_model, tiny_batch, tiny_model

CONFIG = str(ROOT / 'configs' / 'intr_demo_multilabel.py')
NAMES = RingSpecies.METAINFO['classes']


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Weights that predict some of the classes, not all."""
    cfg = Config.fromfile(CONFIG)
    cfg.model.data_preprocessor = cfg.data_preprocessor
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    head = model.eval().head
    # Sharp attention, so that classes differ, and a fifth of them present.
    torch.nn.init.normal_(head.query_embed.weight, std=20)
    torch.nn.init.normal_(head.presence_vector.weight)
    dataset = RingSpecies(num_samples=3, seed=2, img_size=64, num_birds=2)
    images = [
        torch.from_numpy(dataset.get_data_info(i)['img']).permute(2, 0, 1)
        for i in range(3)
    ]
    _, decoded = explain_batch(model, images)
    head.presence_vector.bias.data -= decoded.logits.quantile(.8)
    path = tmp_path_factory.mktemp('weights') / 'random.pth'
    return save_model(model, path, NAMES)


@pytest.fixture
def run(checkpoint, tmp_path, monkeypatch, run_tool):

    def run(tool, *flags, options=()):
        monkeypatch.chdir(tmp_path)
        options = [
            'test_dataloader.dataset.num_samples=3',
            'test_dataloader.dataset.img_size=64',
            f'test_dataloader.dataset.cache_dir={tmp_path / "cache"}', *options
        ]
        run_tool(tool, CONFIG, checkpoint, *flags, '--cfg-options', *options)

    return run


def read(report, block):
    found = re.search(f'id="{block}">(.*?)</script>', report.read_text(), re.S)
    return json.loads(found[1])


def test_explain(run, tmp_path):
    """All true classes are drawn, and all that are predicted."""
    run('visualization/explain.py', '--heads', 'mean', '--out', 'out',
        '--report', 'r.html', '--batch-size', 3)
    assert len(list((tmp_path / 'out').glob('*.png'))) == 3
    dataset = RingSpecies(num_samples=3, seed=2, img_size=64, num_birds=2)
    items = read(tmp_path / 'r.html', 'items')
    numbers = set()
    for index, item in enumerate(items):
        several = item['several']
        assert several['gt'] == dataset.get_cat_ids(index)
        shown = list(dict.fromkeys(several['gt'] + several['pred']))
        assert item['classes'] == shown and item['gt'] is None
        scores = dict(zip(item['classes'], item['scores']))
        assert all((scores[i] >= .5) == (i in several['pred']) for i in shown)
        numbers.add(len(several['pred']))
    assert len(numbers) > 1 and max(numbers) > 1
    summary = read(tmp_path / 'r.html', 'summary')
    assert summary['several'] and summary['accuracy'] is None
    predicted = sum(len(item['several']['pred']) for item in items)
    assert predicted == sum(row['predicted'] for row in summary['classes'])


def test_explain_one_class_of_several(run, tmp_path):
    label = RingSpecies(
        num_samples=3, seed=2, img_size=64, num_birds=2).get_cat_ids(1)[1]
    run('visualization/explain.py', '--classes', NAMES[label], '--figure',
        'comparison', '--heads', 'mean', '--out', 'out')
    assert '1_mean' in [path.stem for path in (tmp_path / 'out').iterdir()]


def test_test_draws_and_evaluates(run, tmp_path):
    run('test.py', '--show-dir', 'shown', '--out', 'figures.json',
        '--out-item', 'metrics', '--interval', 2)
    figures = json.loads((tmp_path / 'figures.json').read_text())
    for name in ('multi-label/mAP', 'multi-label/f1-score', 'pointing/bird',
                 'pointing/other', 'pointing/bird_shuffled'):
        assert 0 <= figures[name] <= 100
    shown = sorted(path.name for path in (tmp_path / 'shown').iterdir())
    # as many names as there are predicted classes, each with its score
    assert [name[:16]
            for name in shown] == ['attention_test_0', 'attention_test_2']
    names = [name.replace(' ', '-') for name in NAMES]
    for name in shown:
        found = re.findall(r'_([A-Z][a-z]+-[A-Z][a-z]+)_(0\.\d\d|1\.00)', name)
        assert {one for one, _ in found} <= set(names)
        assert all(float(score) >= .5 for _, score in found)


def test_temperature_is_refused(run, checkpoint):
    with pytest.raises(SystemExit, match='those of MultiLabelINTRHead do not'):
        run('analysis_tools/fit_temperature.py')
    with pytest.raises(ValueError, match='temperature=2.0 .* leave it out'):
        INTRInferencer(CONFIG, checkpoint, temperature=2.)


def test_inferencer(checkpoint, tmp_path):
    inferencer = INTRInferencer(CONFIG, checkpoint)
    dataset = RingSpecies(num_samples=4, seed=2, img_size=64, num_birds=2)
    images = [dataset.get_data_info(i)['img'] for i in range(4)]
    results = inferencer(
        images,
        maps=('pred', ),
        batch_size=4,
        out_file=str(tmp_path / 'out.json'),
        show_dir=str(tmp_path / 'shown'))
    records = json.loads((tmp_path / 'out.json').read_text())
    for result, record in zip(results, records):
        labels = (result['pred_scores'] >= .5).nonzero()[0].tolist()
        assert result['pred_label'] == record['label'] == labels
        assert result['pred_class'] == [NAMES[i] for i in labels]
        assert result['pred_score'] == [
            pytest.approx(result['pred_scores'][i]) for i in labels
        ]
        # the best one where none is predicted
        best = [int(result['pred_scores'].argmax())]
        assert result['attention_classes'] == (labels or best)
        assert len(result['attention_cells']) == len(labels or best)
        assert len(result['even_score']) == len(labels)
    assert len(list((tmp_path / 'shown').iterdir())) == 4


@pytest.mark.parametrize('labels, head, facts', [
    ([0, 1], 'INTRHead', 'has the labels .0, 1., but INTRHead takes one'),
    ([0, 3], 'MultiLabelINTRHead', 'Label 3 of .* is outside 0..2'),
])
def test_labels_that_do_not_fit(images, tmp_path, labels, head, facts):
    (tmp_path / 'a.json').write_text(
        json.dumps(
            dict(
                metainfo=dict(classes=['a', 'b', 'c']),
                data_list=[dict(img_path='class_0/0.jpg', gt_label=labels)])))
    runner = build_runner(
        images,
        tmp_path / 'work',
        test_dataloader__dataset=dict(
            type='MultiLabelDataset',
            ann_file=str(tmp_path / 'a.json'),
            data_root=str(images),
            data_prefix='train',
            pipeline=[dict(type='LoadIntactImage'),
                      dict(type='PackInputs')],
            _delete_=True),
        model__head__type=head)
    with pytest.raises(ValueError, match=facts):
        runner.test()


def test_what_needs_one_class_refuses():
    model = tiny_model(head__type='MultiLabelINTRHead')
    with pytest.raises(ValueError, match='MultiLabelINTRHead cannot be expor'):
        ExportableClassifier(model)
    explain = EvidenceExplainer(against='rival')
    with pytest.raises(ValueError, match='MultiLabelINTRHead do not: leave'):
        explain(model, tiny_batch((48, 48))['inputs'], torch.tensor([1]))
    reader = dict(type='EvidenceReader', num_classes=3, embed_dims=16)
    auxiliary = dict(type='MultiLabelINTRHead', num_classes=3, embed_dims=16)
    with pytest.raises(ValueError, match='MultiLabelINTRHead lets several'):
        MODELS.build(dict(reader, auxiliary=auxiliary))
