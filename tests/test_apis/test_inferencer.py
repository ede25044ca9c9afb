import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain import get_model
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from intr_mm.apis import INTRInferencer
from ..tiny import (CONFIG, DEMO, likeness, save_model, tiny_cfg, tiny_model,
                    write_birds)

EVIDENCE_HEAD = dict(
    _delete_=True,
    type='EvidenceHead',
    num_classes=5,
    embed_dims=16,
    num_heads=2,
    null_logit=1.)


def prepared(inferencer, paths):
    """A batch, independently of the inferencer: 288 pixels are three for
    each of the network."""
    images = [cv2.imread(str(path)) for path in paths]
    inputs = [
        inferencer.pipeline(dict(img=image))['inputs'] for image in images
    ]
    return inferencer.model.data_preprocessor(
        dict(inputs=inputs, data_samples=[DataSample() for _ in inputs]))


def test_maps_are_those_of_get_attention(inferencer, birds):
    """Also in a batch of different sizes, where padding is cut off."""
    paths = sorted(birds.iterdir())[2:]
    results = inferencer([str(p) for p in paths],
                         batch_size=2,
                         maps=('pred', 3),
                         layer=0)
    data = prepared(inferencer, paths)
    assert [tuple(s.img_shape) for s in data['data_samples']] == [(96, 96),
                                                                  (96, 144)]
    with torch.no_grad():
        logits = inferencer.model(**data)
    for i, (result, columns) in enumerate(zip(results, (12, 18))):
        label = int(logits[i].argmax())
        assert result['attention_classes'] == [label, 3]
        expected = inferencer.model.get_attention(
            **data, classes=[label, 3], layer=0)[i, ..., :columns]
        np.testing.assert_allclose(
            result['attention_cells'], expected.detach(), atol=1e-6)
        np.testing.assert_allclose(result['attention_cells'].sum((-2, -1)), 1,
                                   1e-5)
        np.testing.assert_allclose(
            result['pred_scores'], logits[i].softmax(-1), rtol=1e-4)


def test_cells_lie_where_they_are_on_the_image(inferencer, birds):
    """Cell i is centred on pixel 8 i of the network's input, thrice smaller
    than the image."""
    result, = inferencer(str(birds / 'bird_3.png'), maps='top2')
    maps = result['attention']
    assert maps.shape == (2, 4, 288, 432) and maps.dtype == np.float32
    np.testing.assert_allclose(
        maps[..., 1::24, 1::24], result['attention_cells'], rtol=1e-5)
    assert result['geometry'].stride == 8 and result['geometry'].offset == 0


def test_batches_change_nothing(inferencer, birds):
    paths = [str(birds / f'bird_{i}.png') for i in range(3)]
    alone = inferencer(paths, batch_size=1, maps=('pred', 0))
    together = inferencer(paths, batch_size=3, maps=('pred', 0))
    for one, other in zip(alone, together):
        for key in ('pred_scores', 'attention'):
            np.testing.assert_allclose(one[key], other[key], atol=1e-5)
    assert not np.allclose(alone[0]['attention'], alone[1]['attention'])


def test_plain_prediction_carries_no_maps(inferencer, birds):
    """The demo's test_cfg asks for the true class, which photos lack."""
    result, = inferencer(str(birds / 'bird_0.png'))
    assert set(result) == {
        'pred_scores', 'pred_label', 'pred_score', 'pred_class'
    }
    sample, = inferencer(
        str(birds / 'bird_0.png'), return_datasamples=True, maps='pred')
    assert isinstance(sample, DataSample)
    assert sample.attention.shape == (1, 1, 4, 12, 12)


def test_crop_leaves_the_rest_without_attention(checkpoint, birds):
    cfg = Config.fromfile(DEMO)
    cfg.test_dataloader.dataset.pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='CenterCrop', crop_size=96),
        dict(type='PackInputs')
    ]
    inferencer = INTRInferencer(cfg, checkpoint, img_size=144)
    path = str(birds / 'bird_3.png')
    result, = inferencer(path, maps='pred')
    maps, = result['attention']
    # 288 x 432 became 144 x 216, of which the middle was seen.
    seen = maps[:, 48:240, 120:312]
    assert (seen > 0).all()
    assert (maps > 0).sum() == seen.size
    explanation, = inferencer.explain(path)
    np.testing.assert_array_equal(explanation.image,
                                  cv2.imread(path)[48:240, 120:312, ::-1])


def test_temperature_divides_logits(checkpoint, inferencer, birds):
    path = str(birds / 'bird_0.png')
    warm = INTRInferencer(DEMO, checkpoint, temperature=2.5)
    with torch.no_grad():
        logits = inferencer.model(**prepared(inferencer, [path]))
    result, = warm(path)
    np.testing.assert_allclose(
        result['pred_scores'], (logits[0] / 2.5).softmax(-1), rtol=1e-4)
    with pytest.raises(ValueError, match='temperature'):
        INTRInferencer(DEMO, checkpoint, temperature=0)


def test_json(inferencer, birds, tmp_path):
    path = str(birds / 'bird_3.png')
    out_file = tmp_path / 'new' / 'x.json'
    result, = inferencer(path, maps=('Frost_Bunting', ), out_file=out_file)
    record, = json.loads(out_file.read_text())
    assert record['path'] == path
    assert record['label'] == result['pred_label']
    assert record['class'] == result['pred_class']
    assert record['score'] == pytest.approx(result['pred_score'])
    scores = [item['score'] for item in record['topk']]
    assert scores == sorted(scores, reverse=True) and len(scores) == 5
    attention = record['attention']
    assert attention['classes'] == ['Frost Bunting']
    assert attention['img_shape'] == [96, 144]
    np.testing.assert_allclose(attention['cells'], result['attention_cells'])


@pytest.fixture(scope='module')
def adding(tmp_path_factory):
    """An inferencer whose head gives evidence."""
    cfg = Config.fromfile(CONFIG)
    cfg.model = tiny_cfg(head=EVIDENCE_HEAD)
    model = tiny_model(head=EVIDENCE_HEAD)
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=.7)
    path = tmp_path_factory.mktemp('evidence') / 'evidence.pth'
    return INTRInferencer(cfg, save_model(model, path))


def test_evidence(adding, birds, tmp_path):
    path = str(birds / 'bird_0.png')
    result, = adding(path, maps='top5', out_file=tmp_path / 'x.json')
    evidence = result['evidence_cells']
    assert evidence.shape == result['attention_cells'].shape
    logits = torch.tensor(evidence.sum((1, 2, 3)))
    scores = result['pred_scores'][result['attention_classes']]
    np.testing.assert_allclose(logits.softmax(0), scores, rtol=1e-4)
    np.testing.assert_allclose(result['found_mass'],
                               result['attention_cells'].sum((-2, -1)).mean(1))
    assert (result['found_mass'] < 1).all()
    # of five classes, among which even attention does not choose
    assert result['even_score'] == pytest.approx(.2)
    record, = json.loads((tmp_path / 'x.json').read_text())
    assert record['even_score'] == result['even_score']
    np.testing.assert_allclose(record['attention']['evidence'], evidence)
    adding(path, maps='top2', show_dir=tmp_path)
    assert (tmp_path / 'bird_0.png').is_file()


def test_even_score_follows_the_temperature(checkpoint, inferencer, birds):
    path = str(birds / 'bird_0.png')
    warm = INTRInferencer(DEMO, checkpoint, temperature=2.5)
    cold, = inferencer(path, maps='pred', return_datasamples=True)
    result, = warm(path, maps='pred')
    expected = (cold.attention_even.log() / 2.5).softmax(-1)
    assert result['even_score'] == pytest.approx(
        float(expected[result['pred_label']]), rel=1e-4)
    assert 'evidence_cells' not in result
    assert 'even_score' not in inferencer(path, maps='pred', layer=0)[0]


def test_pictures(inferencer, birds, tmp_path):
    write_birds(tmp_path / 'a', (96, 96))
    paths = [str(folder / 'bird_0.png') for folder in (birds, tmp_path / 'a')]
    inferencer(paths, maps='pred', show_dir=tmp_path / 'out' / 'maps')
    pictures = sorted((tmp_path / 'out/maps').iterdir())
    # Both files are called alike.
    assert [p.name for p in pictures] == ['bird_0_0.png', 'bird_0_1.png']
    for path, picture in zip(paths, pictures):
        image = cv2.resize(cv2.imread(path), (270, 270))
        assert likeness(cv2.imread(str(picture)), image) > .98
    inferencer(paths[0], show_dir=tmp_path / 'plain')
    assert (tmp_path / 'plain' / 'bird_0.png').is_file()


def test_mmpretrains_classifier(checkpoint, inferencer, birds):
    """Padding is masked there too."""
    cfg = Config.fromfile(DEMO)
    cfg.model.type = 'ImageClassifier'
    cfg.model.pop('test_cfg')
    cfg.model.pop('channels_last')
    cfg.model.pop('pad_after_backbone')
    cfg.data_preprocessor.type = 'ClsDataPreprocessor'
    plain = INTRInferencer(cfg, checkpoint)
    paths = [str(birds / f'bird_{i}.png') for i in (0, 3)]
    result = plain(paths[0], maps='pred')[0]
    expected = inferencer(paths[0], maps='pred')[0]
    np.testing.assert_allclose(result['attention'], expected['attention'])
    result, _ = plain(paths, maps='pred', batch_size=2)
    assert result['attention_cells'].shape[-2:] == (12, 12)
    np.testing.assert_allclose(
        result['attention_cells'].sum((-2, -1)), 1, rtol=1e-5)


def test_models_that_do_not_fit(inferencer):
    cfg = Config.fromfile(DEMO)
    cfg.model.neck = dict(type='GlobalAveragePooling')
    cfg.model.pad_after_backbone = False
    cfg.model.head = dict(
        type='LinearClsHead', num_classes=12, in_channels=128)
    with pytest.raises(TypeError, match='INTRHead'):
        INTRInferencer(get_model(cfg))
    bare = MODELS.build(Config.fromfile(DEMO).model)
    with pytest.raises(ValueError, match='config'):
        INTRInferencer(bare)
    assert INTRInferencer(inferencer.model).classes == inferencer.classes


def test_number_of_classes_is_that_of_the_checkpoint(checkpoint):
    cfg = Config.fromfile(DEMO)
    cfg.model.head.num_classes = None
    assert INTRInferencer(cfg, checkpoint).model.head.num_classes == 12


def test_batch_size(inferencer):
    with pytest.raises(ValueError, match='batch_size'):
        inferencer([], batch_size=0)
    with pytest.raises(ValueError, match='batch_size'):
        next(inferencer.explain([], batch_size=0))


def test_list_models():
    names = INTRInferencer.list_models()
    assert 'intr_demo' in names
    assert all(name.startswith('intr') for name in names)
    assert INTRInferencer.list_models('*swin*')
    assert set(INTRInferencer.list_models('*swin*')) < set(names)
