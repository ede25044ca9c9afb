import pytest
import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample

from intr_mm.models.padding import cut_padding, make_padding_mask
from intr_mm.models.utils import select_classes


def samples(sizes, padded):
    return [
        DataSample(metainfo=dict(img_shape=size, batch_input_shape=padded))
        for size in sizes
    ]


@pytest.mark.parametrize('padded, grid', [((800, 1066), (25, 34)),
                                          ((97, 131), (4, 5)),
                                          ((64, 64), (64, 64))])
def test_padding_mask_is_nearest_interpolation(padded, grid):
    """As DETR's and INTR's code, which interpolates the mask of the pixels."""
    torch.manual_seed(0)
    sizes = [(int(torch.randint(1, padded[0] + 1,
                                ())), int(torch.randint(1, padded[1] + 1, ())))
             for _ in range(8)]
    pixels = torch.ones(8, *padded)
    for mask, (height, width) in zip(pixels, sizes):
        mask[:height, :width] = 0
    expected = F.interpolate(pixels[None], size=grid)[0].bool()
    mask = make_padding_mask(samples(sizes, padded), torch.zeros(8, 1, *grid))
    assert torch.equal(mask, expected)
    # what is left of a map that is 1 where a cell is valid
    for of_image, cut in zip(mask, cut_padding(~mask, mask)):
        assert cut.all() and cut.sum() == (~of_image).sum()


def test_no_padding_gives_no_mask():
    feat = torch.zeros(2, 1, 2, 2)
    assert make_padding_mask(None, feat) is None
    assert make_padding_mask([DataSample(), DataSample()], feat) is None
    assert make_padding_mask(samples([(64, 64)] * 2, (64, 64)), feat) is None


SCORES = torch.tensor([[.1, .7, .2], [.5, .2, .3]])


def test_select_classes():
    chosen = select_classes(('pred', 'gt', 'top2', 2), SCORES,
                            torch.tensor([2, 1]))
    assert chosen.tolist() == [[1, 2, 1, 2, 2], [0, 1, 0, 2, 2]]


@pytest.mark.parametrize('spec, error', [
    (('best', ), "Class 'best' is not understood"),
    (('top4', ), 'N <= 3'),
    ((3, ), 'index below 3'),
    (('gt', ), 'carry no gt_label'),
    ((), 'No classes were asked for'),
])
def test_select_classes_refuses(spec, error):
    with pytest.raises(ValueError, match=error):
        select_classes(spec, SCORES)
