import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain import ImageClassificationInferencer, get_model
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from intr_mm.apis import INTRInferencer
from intr_mm.checkpoints import store_temperature
from ..tiny import (CONFIG, DEMO, ROOT, likeness, save_demo, save_model,
                    tiny_cfg, tiny_model, write_birds)

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
    paths = [str(birds / f'bird_{i}.png') for i in range(4)]  # of two sizes
    alone = inferencer(paths, batch_size=1, maps=('pred', 0))
    together = inferencer(paths, batch_size=4, maps=('pred', 0))
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


def test_temperature_of_logits_far_apart(checkpoint, birds):
    """Scores of which float32 has but zeros."""
    warm = INTRInferencer(DEMO, checkpoint, temperature=40)
    path = str(birds / 'bird_0.png')
    data = prepared(warm, [path])
    with torch.no_grad():
        low, high = warm.model(**data)[0].aminmax()
        warm.model.head.presence_vector.weight.mul_(300 / (high - low))
        logits = warm.model(**data)[0].double()
    np.testing.assert_allclose(
        warm(path)[0]['pred_scores'], (logits / 40).softmax(-1), rtol=1e-3)


def test_temperature_beside_a_checkpoint_of_the_config(birds, tmp_path):
    path = save_demo(tmp_path / 'demo.pth')
    store_temperature(path, 3.)
    cfg = Config.fromfile(DEMO)
    cfg.load_from = path
    assert INTRInferencer(cfg).temperature == 3
    assert INTRInferencer(cfg, False).temperature is None


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


@pytest.mark.parametrize('arguments, message', [
    (dict(batch_size=0), 'batch_size has to be .* got 0'),
    (dict(batch_size='two'), "batch_size has to be .* got 'two'"),
    (dict(topk=0), 'topk has to be'),
    (dict(layer=2), 'layer=2 is out of range'),
    (dict(layer='last'), "layer='last' is out of range"),
    (dict(maps='Bluebird'), "no class 'Bluebird'; the closest"),
    (dict(maps=99), 'Class 99 is out of range'),
    (dict(maps=np.arange(11, 14)), 'Class 12 is out of range'),
    (dict(maps=1.5), "no class '1.5'"),
    (dict(maps=[]), 'No classes were asked for'),
    (dict(show_dir='/proc/x'), '/proc/x. cannot be written'),
    (dict(out_file='/proc/x.json'), '/proc/x.json. cannot be written'),
])
def test_arguments_are_checked_by_name(inferencer, birds, arguments, message):
    with pytest.raises((ValueError, IndexError), match=message):
        inferencer(str(birds / 'bird_0.png'), **arguments)


@pytest.mark.parametrize('arguments, message', [
    (dict(classes=['a', 'b']), 'There are 2 names .* has 12 classes: give'),
    (dict(classes=list('abcdefghijklm')), 'There are 13 names'),
    (dict(classes='a bird'), "has to be a list of names, got 'a bird'"),
    (dict(classes=range(12)), 'has to be a list of names'),
    (dict(temperature=float('nan')), 'temperature has to be .* got nan'),
    (dict(temperature='warm'), 'temperature has to be .* got warm'),
    (dict(img_size=0), 'img_size has to be'),
    (dict(device='gpu'), "device='gpu' is none of PyTorch's: use 'cpu'"),
    (dict(pretrained=5), 'pretrained has to be the path .* got int'),
    (dict(model=None), 'model has to be a name, .* got NoneType'),
])
def test_what_a_model_is_given_is_checked(inferencer, arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        INTRInferencer(**dict(dict(model=inferencer.model), **arguments))


def test_classes_are_numbers_of_any_kind(inferencer, birds):
    path = str(birds / 'bird_0.png')
    for maps in (3, np.int64(3), [np.int32(3)], np.array([3]), torch.tensor(3),
                 np.str_('3'), (torch.tensor(3), )):
        result, = inferencer(path, maps=maps)
        assert result['attention_classes'] == [3]


@pytest.fixture
def damaged(birds, tmp_path):
    """A folder of two birds, and between them by name one that is cut."""
    for name, i in (('a', 0), ('z', 3)):
        shutil.copy(birds / f'bird_{i}.png', tmp_path / f'{name}.png')
    content = (birds / 'bird_0.png').read_bytes()
    (tmp_path / 'm_cut.png').write_bytes(content[:len(content) // 2])
    return tmp_path


def test_a_folder_with_an_image_that_cannot_be_read(inferencer, damaged,
                                                    monkeypatch):
    printed = []
    monkeypatch.setattr('intr_mm.apis.inferencer.print_log',
                        lambda text, **_: printed.append(text))
    out = damaged / 'out'
    calls = dict(maps='pred', out_file=out / 'x.json', show_dir=out)
    results = inferencer(damaged, batch_size=2, **calls)
    assert [result['attention'].shape[-1] for result in results] == [288, 432]
    assert sorted(path.name for path in out.glob('*.png')) == [
        'a.png', 'z.png'
    ]  # yapf: disable
    first, last, cut = json.loads((out / 'x.json').read_text())
    assert [first['path'], last['path'], cut['path']
            ] == [str(damaged / f'{n}.png') for n in ('a', 'z', 'm_cut')]
    assert 'm_cut.png' in cut['error'] and 'label' not in cut
    assert 'm_cut.png' in printed[0] and 'passed over' in printed[0]
    unreadable = {}
    found = inferencer.explain(damaged, unreadable=unreadable)
    assert [explanation.name for explanation in found] == ['a', 'z']
    assert list(unreadable) == [1] and 'm_cut.png' in unreadable[1]


def test_strict_says_whether_to_stop(inferencer, damaged):
    paths = sorted(damaged.iterdir())
    assert len(inferencer(paths, strict=False)) == 2
    for inputs, strict in ((damaged, True), (paths, None)):
        with pytest.raises(OSError, match='m_cut.png'):
            inferencer(inputs, strict=strict)


def test_two_threads(inferencer, birds):
    paths = [str(birds / f'bird_{i}.png') for i in (0, 3)]
    expected = [inferencer(path, maps='pred')[0] for path in paths]
    with ThreadPoolExecutor(2) as pool:
        calls = [
            pool.submit(inferencer, path, maps='pred') for path in 4 * paths
        ]
        found = [call.result()[0] for call in calls]
    for i, result in enumerate(found):
        for key in ('pred_scores', 'attention'):
            np.testing.assert_array_equal(result[key], expected[i % 2][key])


def test_maps_of_a_large_photo_are_bounded(inferencer, birds, monkeypatch):
    path = str(birds / 'bird_3.png')
    whole, = inferencer(path, maps='top2')
    monkeypatch.setattr('intr_mm.apis.inferencer._MAX_MAP_VALUES', 200_000)
    result, = inferencer(path, maps='top2')
    classes, heads, height, width = result['attention'].shape
    assert (classes, heads) == (2, 4)
    assert 180_000 < result['attention'].size < 210_000
    assert width / height == pytest.approx(1.5, rel=.01)
    nearest = whole['attention'][..., ::2, ::2].mean()
    assert result['attention'].mean() == pytest.approx(nearest, rel=.01)


def test_mmpretrains_inferencer(checkpoint, inferencer, birds):
    stock = ImageClassificationInferencer(DEMO, checkpoint)
    image = cv2.resize(cv2.imread(str(birds / 'bird_0.png')), (96, 96))
    result, = stock(image)
    expected, = inferencer(image)
    np.testing.assert_allclose(result['pred_scores'], expected['pred_scores'],
                               1e-5)


@pytest.mark.parametrize(
    'config', sorted((ROOT / 'configs').glob('*.py')), ids=lambda p: p.stem)
def test_pipelines_in_mmpretrains_inferencer(config):
    """It loads images by itself and sends them into the same pipeline."""
    cfg = Config.fromfile(config)
    stock = object.__new__(ImageClassificationInferencer)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        stock.pipeline = stock._init_pipeline(cfg)
    batch, = stock.preprocess([np.zeros((90, 120, 3), np.uint8)])
    assert batch['inputs'].shape[:2] == (1, 3)


def test_list_models():
    names = INTRInferencer.list_models()
    assert 'intr_demo' in names
    assert all(name.startswith('intr') for name in names)
    assert INTRInferencer.list_models('*swin*')
    assert set(INTRInferencer.list_models('*swin*')) < set(names)
