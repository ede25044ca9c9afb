"""DETR of other libraries and our model agree, the converter in the loop.

INTR adds no position to the decoder's keys, DETR does, so the others' decoders
are given positions of zero for them. All else is theirs.
"""
import runpy

import pytest
import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.structures import DetDataSample
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from torch import nn

from ..golden import GoldenCase
from ..tiny import import_transformers

transformers = import_transformers()
CONVERTER = 'tools/model_converters/detr_to_mmpretrain.py'
NUM_QUERIES, HEADS = 20, 4
DIMS = dict(embed_dims=64, num_heads=HEADS, feedforward_channels=96)
SIZES = [(96, 160), (128, 64)]


def randomise(model):
    """Draw all weights and statistics, so that nothing is 0 or 1 by habit."""
    torch.manual_seed(0)
    for name, tensor in model.state_dict().items():
        if name.endswith('running_var'):
            tensor.uniform_(.5, 1.5)
        elif tensor.dim() > 1:
            nn.init.xavier_normal_(tensor, gain=1.5)
        elif tensor.is_floating_point():
            tensor.normal_(float('norm' in name or 'bn' in name), .1)
    return model.eval()


class MMDetPeer:
    """``DETR`` of mmdet."""

    def __init__(self):
        attention = dict(
            embed_dims=64, num_heads=HEADS, dropout=0., batch_first=True)
        ffn = dict(embed_dims=64, feedforward_channels=96, num_fcs=2)
        with DefaultScope.overwrite_default_scope('mmdet'):
            self.model = randomise(
                MMDET_MODELS.build(
                    dict(
                        type='DETR',
                        num_queries=NUM_QUERIES,
                        data_preprocessor=dict(type='DetDataPreprocessor'),
                        backbone=dict(
                            type='ResNet', depth=18, out_indices=(3, )),
                        neck=dict(
                            type='ChannelMapper',
                            in_channels=[512],
                            kernel_size=1,
                            out_channels=64,
                            act_cfg=None,
                            norm_cfg=None),
                        encoder=dict(
                            num_layers=2,
                            layer_cfg=dict(
                                self_attn_cfg=attention, ffn_cfg=ffn)),
                        decoder=dict(
                            num_layers=2,
                            layer_cfg=dict(
                                self_attn_cfg=attention,
                                cross_attn_cfg=attention,
                                ffn_cfg=ffn),
                            return_intermediate=True),
                        positional_encoding=dict(num_feats=32, normalize=True),
                        bbox_head=dict(
                            type='DETRHead', num_classes=5, embed_dims=64))))

    def save(self, folder):
        path = folder / 'mmdet.pth'
        torch.save(
            dict(
                meta=dict(epoch=150),
                state_dict=self.model.state_dict(),
                optimizer=dict(state={})), path)
        return path

    def run(self, images, mask):
        samples = [
            DetDataSample(
                metainfo=dict(
                    img_shape=size, batch_input_shape=images.shape[-2:]))
            for size in SIZES
        ]
        feats = self.model.extract_feat(images)
        inputs, _ = self.model.pre_transformer(feats, samples)
        memory = self.model.forward_encoder(**inputs)['memory']
        query_pos = self.model.query_embedding.weight.expand(2, -1, -1)
        hidden = self.model.decoder(
            query=torch.zeros_like(query_pos),
            key=memory,
            value=memory,
            query_pos=query_pos,
            key_pos=torch.zeros_like(memory),
            key_padding_mask=inputs['feat_mask' if 'feat_mask' in
                                    inputs else 'masks'])
        return memory, hidden[-1]


class TransformersPeer:
    """``DetrForObjectDetection`` of transformers, on a backbone of timm or
    its own ResNet."""

    def __init__(self, own_resnet):
        backbone = dict(use_timm_backbone=True, backbone='resnet18')
        if own_resnet:
            resnet = transformers.ResNetConfig(
                depths=[2, 2, 2, 2],
                hidden_sizes=[64, 128, 256, 512],
                layer_type='basic',
                out_features=['stage4'])
            backbone = dict(
                use_timm_backbone=False, backbone=None, backbone_config=resnet)
        self.model = randomise(
            transformers.DetrForObjectDetection(
                transformers.DetrConfig(
                    use_pretrained_backbone=False,
                    num_queries=NUM_QUERIES,
                    d_model=64,
                    encoder_layers=2,
                    decoder_layers=2,
                    encoder_attention_heads=HEADS,
                    decoder_attention_heads=HEADS,
                    encoder_ffn_dim=96,
                    decoder_ffn_dim=96,
                    num_labels=5,
                    **backbone)))

    def save(self, folder):
        self.model.save_pretrained(folder, safe_serialization=True)
        return folder / 'model.safetensors'

    def run(self, images, mask):
        detr = self.model.model
        memory = detr(images, mask).encoder_last_hidden_state
        query_pos = detr.query_position_embeddings.weight.expand(2, -1, -1)
        cells = nn.functional.interpolate(
            mask[None].float(), size=(4, 5)).bool()[0]
        hidden = detr.decoder(
            inputs_embeds=torch.zeros_like(query_pos),
            encoder_hidden_states=memory,
            encoder_attention_mask=cells.flatten(1),
            object_queries=torch.zeros_like(memory),
            query_position_embeddings=query_pos).last_hidden_state
        return memory, hidden


class TransformersBinPeer(TransformersPeer):
    """As hubs hold it in older files."""

    def save(self, folder):
        torch.save(self.model.state_dict(), folder / 'pytorch_model.bin')
        return folder / 'pytorch_model.bin'


class Transformers5Peer(TransformersPeer):
    """As the modules of transformers 5 are called, beside which mmpretrain
    cannot be imported."""

    def save(self, folder):
        v5 = (('.conv_encoder', ''), ('out_proj', 'o_proj'), ('.fc',
                                                              '.mlp.fc'))
        renamed = {}
        for name, tensor in self.model.state_dict().items():
            for old, new in v5:
                name = name.replace(old, new)
            renamed[name] = tensor
        torch.save(renamed, folder / 'modules.bin')
        return folder / 'modules.bin'


PEERS = {
    'MMDetection 3.x':
    MMDetPeer,
    'transformers, timm backbone, .safetensors':
    lambda: TransformersPeer(own_resnet=False),
    'transformers, timm backbone, .bin':
    lambda: TransformersBinPeer(own_resnet=False),
    'transformers, own ResNet, .safetensors':
    lambda: TransformersPeer(own_resnet=True),
    'transformers, own ResNet, .bin':
    lambda: TransformersBinPeer(own_resnet=True),
    'transformers, names of version 5':
    lambda: Transformers5Peer(own_resnet=True),
}


def convert(src, dst, num_classes):
    argv = [CONVERTER, str(src), str(dst), '--num-classes', str(num_classes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('sys.argv', argv)
        runpy.run_path(CONVERTER, run_name='__main__')
    return torch.load(dst, weights_only=True)['state_dict']


@torch.no_grad()
@pytest.mark.parametrize('name', PEERS)
def test_encoder_and_decoder_agree(name, tmp_path, record_property):
    peer = PEERS[name]()
    state_dict = convert(
        peer.save(tmp_path), tmp_path / 'intr.pth', NUM_QUERIES)
    model = MODELS.build(
        dict(
            type='INTRClassifier',
            backbone=dict(type='ResNet', depth=18),
            neck=dict(
                type='INTREncoder', in_channels=512, num_layers=2, **DIMS),
            head=dict(
                type='INTRHead', num_classes=NUM_QUERIES, num_layers=2,
                **DIMS))).eval()
    model.load_state_dict(state_dict, strict=True)

    torch.manual_seed(1)
    data = model.data_preprocessor(
        dict(inputs=[torch.randn(3, *size) for size in SIZES]))
    valid = torch.zeros(2, *data['inputs'].shape[-2:], dtype=torch.long)
    for row, (height, width) in zip(valid, SIZES):
        row[:height, :width] = 1
    memory, hidden = peer.run(data['inputs'], valid)

    feats, mask, _ = model.extract(**data)
    ours = feats[0].flatten(2).transpose(1, 2)
    query_pos = model.head.query_embed.weight.expand(2, -1, -1)
    our_hidden, _ = model.head.decoder(
        torch.zeros_like(query_pos), ours, query_pos, mask.flatten(1))
    errors = [(ours - memory).abs().max().item(),
              (our_hidden - hidden).abs().max().item()]
    assert memory.std() > .1 and hidden.std() > .1 and mask.any()
    record_property('parity', (name, *errors))
    assert max(errors) <= 1e-4


@torch.no_grad()
def test_facebookresearch(tmp_path, record_property):
    """The official INTR is facebookresearch's DETR up to its heads, so its
    golden memory and attention are those of a DETR with its weights."""
    case = GoldenCase('tiny')
    checkpoint = case.official_checkpoint()
    weights = checkpoint['model']
    for name in ('weight', 'bias'):
        del weights[f'presence_vector.{name}']
        weights[f'class_embed.{name}'] = torch.zeros(92)
        weights[f'bbox_embed.layers.0.{name}'] = torch.zeros(92)
    torch.save(checkpoint, tmp_path / 'detr.pth')
    model = case.model()
    model.load_state_dict(
        convert(tmp_path / 'detr.pth', tmp_path / 'intr.pth', 7))
    data = model.data_preprocessor(dict(inputs=case.images()))
    memory, = model.extract_feat(**data)
    attention = torch.stack([
        model.get_attention(**data, layer=layer).transpose(1, 2)
        for layer in range(len(case.outputs['attention']))
    ])
    errors = [(memory - case.outputs['memory']).abs().max().item(),
              (attention - case.outputs['attention']).abs().max().item()]
    record_property('parity', ('facebookresearch (attention)', *errors))
    assert max(errors) <= 1e-4
