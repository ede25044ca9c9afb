import cv2
import numpy as np
import pytest
import torch

from intr_mm.datasets import RingSpecies
from intr_mm.engine.hooks.attention_visualization_hook import original_image
from intr_mm.models import explain_batch
from intr_mm.visualization import choose_heads, draw_explanation, draw_memory
from ..tiny import likeness

# Width and height of a panel that shows 288x432 pixels.
SIZE = 331, 220


@pytest.fixture(scope='module')
def dataset():
    return RingSpecies(num_samples=5, seed=3)


def infos(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def test_explanations_of_a_data_set(inferencer, dataset):
    explanations = list(
        inferencer.explain(
            infos(dataset), ('gt', 'top3', 'pred'), (0, -1), batch_size=2))
    assert len(explanations) == 5
    for info, found in zip(infos(dataset), explanations):
        assert found.gt_label == info['gt_label'] == found.classes[0]
        assert found.layers == [0, 1]
        assert len(set(found.classes)) == len(found.classes)
        assert int(found.scores.argmax()) in found.classes
        assert found.maps.shape == (2, len(found.classes), 4, 12, 12)
        np.testing.assert_array_equal(found.image, info['img'][..., ::-1])
        image = torch.from_numpy(info['img']).permute(2, 0, 1)
        for layer in (0, 1):
            (sample, ), _ = explain_batch(
                inferencer.model, [image],
                classes=found.classes,
                layers=(layer, ))
            np.testing.assert_allclose(
                found.maps[layer], sample.attention[0], atol=1e-5)
            assert found.geometry == sample.geometry
    assert not np.allclose(explanations[0].maps[0], explanations[0].maps[1])


def test_layers_share_one_pass(inferencer, dataset):
    calls = []
    handle = inferencer.model.backbone.register_forward_hook(
        lambda *_: calls.append(1))
    try:
        list(inferencer.explain(infos(dataset), 'pred', (0, 1), batch_size=5))
    finally:
        handle.remove()
    assert len(calls) == 1


def test_true_class_of_what_has_none(inferencer, birds):
    explanation, = inferencer.explain(
        str(birds / 'bird_1.png'), ('gt', 'pred'))
    assert explanation.gt_label is None
    assert explanation.name == 'bird_1'
    assert explanation.classes == [int(explanation.scores.argmax())]
    with pytest.raises(ValueError, match="bird_1.png' has no label, .*'gt' s"):
        next(inferencer.explain(str(birds / 'bird_1.png'), 'gt'))
    with pytest.raises(IndexError, match='layer=2'):
        next(inferencer.explain(str(birds), layers=(0, 2)))


@pytest.mark.parametrize('labels', [(3, None, 1, 0), (None, 3, None, None)])
def test_labels_of_some_images(inferencer, birds, labels):
    images = [
        dict(
            img_path=str(path),
            **({} if label is None else dict(gt_label=label)))
        for path, label in zip(sorted(birds.iterdir()), labels)
    ]
    found = list(inferencer.explain(images, ['gt', 'pred'], batch_size=3))
    assert [one.gt_label for one in found] == list(labels)
    for image, together in zip(images, found):
        alone, = inferencer.explain(image, ['gt', 'pred'])
        assert together.classes == alone.classes
        assert together.name == alone.name
        np.testing.assert_allclose(together.maps, alone.maps, atol=1e-5)
    results = inferencer(images, batch_size=3)
    assert [one['pred_label']
            for one in results] == [int(one.scores.argmax()) for one in found]
    with pytest.raises(ValueError, match="bird_[01].png' has no label"):
        list(inferencer.explain(images, 'gt', batch_size=4))


def test_image_is_the_file_at_its_resolution(inferencer, birds):
    explanation, = inferencer.explain(str(birds / 'bird_3.png'))
    assert explanation.img_shape == (96, 144)
    sample, = inferencer(str(birds / 'bird_3.png'), return_datasamples=True)
    expected = original_image(torch.zeros(3, 288, 432), sample)
    np.testing.assert_array_equal(explanation.image, expected)


def test_memory(inferencer, birds):
    """Padding must not count to the mean."""
    paths = [str(birds / f'bird_{i}.png') for i in (0, 3)]
    asked = dict(layers=(1, 0), memory=True)
    found, _ = inferencer.explain(paths, batch_size=2, **asked)
    assert found.memory.shape == (2, 5, 12, 12)
    explanation, = inferencer.explain(paths[0], **asked)
    picked = []
    attention = inferencer.model.head.decoder.layers[1].cross_attn
    handle = attention.register_forward_pre_hook(
        lambda _, args, kwargs: picked.append(kwargs['key']), with_kwargs=True)
    inferencer(paths[0])
    handle.remove()
    memory, = picked[0].detach()
    distance = (memory - memory.mean(0)).norm(dim=1).view(12, 12)
    np.testing.assert_allclose(explanation.memory[0, 0], distance, rtol=1e-4)
    np.testing.assert_array_equal(*explanation.memory[:, 0])
    parameters = attention.attn
    value = memory @ parameters.in_proj_weight.detach()[192:].T
    value = value + parameters.in_proj_bias.detach()[192:]
    norms = value.view(12, 12, 4, 24).norm(dim=-1).permute(2, 0, 1)
    np.testing.assert_allclose(explanation.memory[0, 1:], norms, rtol=1e-4)


def test_heads():
    # The k-th head looks at k + 1 cells, and the second class sees them
    # the other way round.
    maps = np.zeros((2, 6, 2, 3), np.float32)
    for head in range(6):
        maps[0, head].flat[:head + 1] = 1 / (head + 1)
    maps[1] = maps[0, ::-1]
    chosen, headings = choose_heads(maps, 'best4')
    np.testing.assert_array_equal(chosen[0, :4], maps[0, :4])
    np.testing.assert_allclose(chosen[:, 4], maps.mean(1), rtol=1e-6)
    assert headings[1] == ['head 5', 'head 4', 'head 3', 'head 2', 'mean']
    assert choose_heads(maps, 'all')[0].shape == (2, 7, 2, 3)
    assert choose_heads(maps, 'mean')[1] == [['mean'], ['mean']]
    with pytest.raises(ValueError, match="'some'"):
        choose_heads(maps, 'some')


def test_figures(inferencer, birds):
    explanation, other = inferencer.explain(
        [str(birds / f'bird_{i}.png') for i in (3, 0)], 'top2', (0, 1))
    image, other = (
        cv2.resize(of.image, SIZE, interpolation=cv2.INTER_AREA)
        for of in (explanation, other))
    widths = {}
    for heads in ('mean', 'best4', 'all'):
        picture = draw_explanation(explanation, inferencer.classes, 1, heads)
        assert picture.dtype == np.uint8
        assert likeness(picture, image) > .98 > .5 > likeness(picture, other)
        widths[heads] = picture.shape[1]
    assert widths['mean'] < widths['all'] == widths['best4']
    other = draw_explanation(explanation, inferencer.classes, 0, 'all')
    # only the last layer's title has the line on even attention
    assert other.shape[0] < picture.shape[0]
    assert other.shape[1] == picture.shape[1]


def test_figure_of_memory(inferencer, birds):
    """What is above average is coloured, in the panel of its map."""
    explanation, = inferencer.explain(str(birds / 'bird_3.png'), memory=True)
    explanation.image = np.full_like(explanation.image, 128)

    def colored(memory):
        explanation.memory = memory[None]
        # without the colour bar
        picture = draw_memory(explanation, inferencer.classes)[:-108]
        return np.ptp(picture.astype(int), axis=-1) > 100

    even = np.ones(explanation.memory.shape[1:])  # (5, 12, 18)
    bar = colored(even)
    peaks = {}
    for panel, row, column in ((0, 3, 4), (4, 3, 4), (4, 9, 4)):
        memory = even.copy()
        memory[panel, row, column] = 10
        where = np.argwhere(colored(memory) & ~bar)
        peaks[panel, row] = where.mean(0)
    # panels lie .05 inch of 180 pixels apart
    np.testing.assert_allclose(
        peaks[4, 3] - peaks[0, 3], (0, 4 * (SIZE[0] + 9)), atol=4)
    np.testing.assert_allclose(
        peaks[4, 9] - peaks[4, 3], (6 / 12 * SIZE[1], 0), atol=4)
