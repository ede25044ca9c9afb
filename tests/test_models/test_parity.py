"""Agreement with the official code, the converter in the loop."""
import runpy

import pytest
import torch

from ..golden import GoldenCase

TOL = dict(rtol=0, atol=1e-4)
CONVERTER = 'tools/model_converters/intr_to_mmpretrain.py'


@pytest.fixture(scope='module', params=['tiny', 'r50'])
def converted(request, tmp_path_factory):
    """Case, model with converted weights, and its preprocessed batch."""
    case = GoldenCase(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    torch.save(case.official_checkpoint(), folder / 'official.pth')
    argv = [CONVERTER, str(folder / 'official.pth'), str(folder / 'ours.pth')]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('sys.argv', argv)
        runpy.run_path(CONVERTER, run_name='__main__')
    model = case.model()
    state_dict = torch.load(folder / 'ours.pth', weights_only=True)
    model.load_state_dict(state_dict['state_dict'], strict=True)
    return case, model, model.data_preprocessor(dict(inputs=case.images()))


@torch.no_grad()
def test_logits(converted):
    case, model, data = converted
    torch.testing.assert_close(model(**data), case.outputs['logits'], **TOL)


@torch.no_grad()
def test_memory(converted):
    case, model, data = converted
    memory, = model.extract_feat(**data)
    torch.testing.assert_close(memory, case.outputs['memory'], **TOL)


@torch.no_grad()
def test_attention(converted):
    case, model, data = converted
    golden = case.outputs['attention']
    if golden.dim() == 4:  # the last layer's mean over heads
        ours = model.get_attention(**data).mean(2)
        torch.testing.assert_close(ours, golden, **TOL)
    else:  # every layer, every head
        for layer in range(len(golden)):
            ours = model.get_attention(**data, layer=layer)
            torch.testing.assert_close(
                ours.transpose(1, 2), golden[layer], **TOL)


def test_parity_can_fail(converted):
    """A position at the decoder's keys, as in DETR, is noticed."""
    case, model, data = converted
    with torch.no_grad():
        memory, = model.extract_feat(**data)
        pos = model.neck.positional_encoding(None, input=memory)
        logits = model.head((memory + pos, ))
    assert (logits - case.outputs['logits']).abs().max() > 1e-2
