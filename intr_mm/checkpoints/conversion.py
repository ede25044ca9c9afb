"""Start an INTR from checkpoints of DETR and of the official INTR code.

Converted weights are those of an ``INTRClassifier`` on a ResNet, which can be
inferred from them and tells whether they are complete.
"""
import logging
from dataclasses import dataclass

import torch
from mmengine.logging import print_log
from mmpretrain.models.backbones import ResNet
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from .formats import convert_names, find_weights, identify


@dataclass
class ForeignWeights:
    """Weights of a foreign checkpoint under the names of our model.

    Args:
        kind: What the checkpoint is.
        state_dict: What was taken.
        dropped: Names, in the source, of what was not.
        fresh: Names of what the model has and the source has not.
    """
    kind: str
    state_dict: dict[str, Tensor]
    dropped: list[str]
    fresh: list[str]

    def __str__(self) -> str:
        return (f'{self.kind}: took {len(self.state_dict)} tensors; dropped '
                f'{", ".join(self.dropped) or "none"}; initialised '
                f'{", ".join(self.fresh) or "none"}.')

    def log(self) -> None:
        """Log it, as a warning where more than the presence vector is fresh,
        such as a backbone that DETR does not have."""
        whole = all(name.startswith('head.presence') for name in self.fresh)
        print_log(
            str(self), 'current', logging.INFO if whole else logging.WARNING)


def class_queries(object_queries: Tensor,
                  num_queries: int,
                  noise_frac: float = 0.1,
                  seed: int = 0) -> Tensor:
    """Make class queries of DETR's object queries, as the official code does.

    The first ones if fewer are needed; else they are repeated, with noise on
    all but the originals (``load_model`` in ``util/misc.py`` of the official
    code).

    Args:
        object_queries: Shape (Q, D).
        num_queries: Number N of queries to make.
        noise_frac: Standard deviation of the noise.
        seed: Seed of the noise, so that every process of a distributed run
            makes the same.

    Returns:
        Shape (N, D).

    Raises:
        ValueError: If there are no queries to make them of.
    """
    if object_queries.ndim != 2 or not len(object_queries):
        raise ValueError('its object queries have the shape '
                         f'{tuple(object_queries.shape)} and not (Q, D)')
    repeats = -(-num_queries // len(object_queries))
    tiled = object_queries.repeat(repeats, 1)[:num_queries]
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(tiled.shape, generator=generator) * noise_frac
    noise[:len(object_queries)] = 0
    return tiled + noise.to(tiled)


def convert_foreign(checkpoint: dict,
                    num_queries: int | None = None,
                    noise_frac: float = 0.1,
                    seed: int = 0) -> ForeignWeights | None:
    """Convert a checkpoint of DETR or of the official INTR code.

    DETR's class and box heads are dropped, and its object queries become
    class queries.

    Args:
        checkpoint: Content of the file.
        num_queries: Number of class queries to make of a DETR; an INTR keeps
            its own.
        noise_frac: See :func:`class_queries`.
        seed: See :func:`class_queries`.

    Returns:
        The weights; ``fresh`` holds the presence vector in case of DETR, which
        has none. None if the checkpoint is of neither.

    Raises:
        ValueError: If a tensor has no place in INTR, as in relatives of DETR.
    """
    weights = find_weights(checkpoint)
    checkpoint_format = identify(weights)
    if checkpoint_format is None:
        return None
    state_dict, dropped = convert_names(weights, checkpoint_format)
    fresh = []
    if checkpoint_format.heads is not None:
        name = 'head.query_embed.weight'
        state_dict[name] = class_queries(state_dict[name], num_queries,
                                         noise_frac, seed)
        fresh = ['head.presence_vector.weight', 'head.presence_vector.bias']
    return ForeignWeights(checkpoint_format.name, state_dict, dropped, fresh)


def adapt_foreign(checkpoint: dict, model: nn.Module) -> ForeignWeights | None:
    """Convert a foreign checkpoint for a model, whatever its backbone is.

    Args:
        checkpoint: Content of the file.
        model: Classifier.

    Returns:
        What fits the model of DETR's weights, all of an official INTR's. None
        if the checkpoint is of neither, or the model has no class queries.

    Raises:
        ValueError: If a tensor has no place in INTR, as in relatives of DETR.
    """
    own = model.state_dict()
    if 'head.query_embed.weight' not in own:
        return None
    foreign = convert_foreign(checkpoint, len(own['head.query_embed.weight']))
    if foreign is None:
        return None
    fits = {
        name
        for name, tensor in foreign.state_dict.items()
        if name in own and own[name].shape == tensor.shape
    }
    if foreign.fresh:
        # A start for another backbone. A misfit of a finished model is left
        # for the one who loads it to complain about.
        misfits = foreign.state_dict.keys() - fits
        foreign.dropped += sorted(misfits)
        for name in misfits:
            del foreign.state_dict[name]
    foreign.fresh = [
        name for name in own
        if name not in fits and not name.endswith('num_batches_tracked')
    ]
    return foreign


def infer_model_cfg(state_dict: dict[str, Tensor]) -> dict:
    """Config of the ``INTRClassifier`` on a ResNet that weights belong to.

    The number of attention heads and dilation leave no trace in weights;
    they are those of INTR-R50.

    Args:
        state_dict: Weights under our names.

    Returns:
        Config of the model.

    Raises:
        ValueError: If no ResNet has such blocks, or tensors are lacking that
            tell the dimensions.
    """

    def count(prefix: str) -> int:
        depth = prefix.count('.')
        return len({
            name.split('.')[depth]
            for name in state_dict if name.startswith(prefix)
        })

    blocks = tuple(count(f'backbone.layer{i}.') for i in range(1, 5))
    is_bottleneck = 'backbone.layer1.0.conv3.weight' in state_dict
    depths = [
        depth for depth, (_, stages) in ResNet.arch_settings.items()
        if tuple(stages) == blocks and (depth >= 50) == is_bottleneck
    ]
    if not depths:
        raise ValueError(f'its backbone has {blocks} blocks, which no ResNet '
                         'has, so tensors are lacking')
    sizes = {}
    for name, ndim in (('neck.input_proj.weight',
                        4), ('head.decoder.layers.0.ffn.layers.0.0.bias', 1),
                       ('head.query_embed.weight', 2)):
        if name not in state_dict:
            raise ValueError(f"it lacks '{name}'")
        sizes[ndim] = tuple(state_dict[name].shape)
        if len(sizes[ndim]) != ndim or 0 in sizes[ndim]:
            raise ValueError(f"'{name}' has the shape {sizes[ndim]} where "
                             f'{ndim} dimensions are needed')
    embed_dims, in_channels = sizes[4][:2]
    ffn, num_classes = sizes[1][0], sizes[2][0]
    dims = dict(embed_dims=embed_dims, feedforward_channels=ffn)
    return dict(
        type='INTRClassifier',
        backbone=dict(type='TorchvisionResNet', depth=depths[0]),
        neck=dict(
            type='INTREncoder',
            in_channels=in_channels,
            num_layers=count('neck.encoder.layers.'),
            **dims),
        head=dict(
            type='INTRHead',
            num_classes=num_classes,
            num_layers=count('head.decoder.layers.'),
            **dims))


def check_complete(state_dict: dict[str, Tensor]) -> None:
    """Check that weights are all that their model has.

    Args:
        state_dict: Weights under our names.

    Raises:
        ValueError: If a tensor is lacking, left over or of another shape.
    """
    own = MODELS.build(infer_model_cfg(state_dict)).state_dict()
    for name, tensor in own.items():
        if name not in state_dict:
            # DETR's frozen normalisation layers do not count batches
            if not name.endswith('num_batches_tracked'):
                raise ValueError(f"it lacks '{name}'")
        elif state_dict[name].shape != tensor.shape:
            raise ValueError(
                f"'{name}' has the shape {tuple(state_dict[name].shape)} "
                f'instead of {tuple(tensor.shape)}')
        elif (tensor.is_floating_point()
              and not state_dict[name].is_floating_point()):
            raise ValueError(f"'{name}' is of {state_dict[name].dtype} where "
                             'fractions are needed')
    unknown = state_dict.keys() - own.keys()
    if unknown:
        raise ValueError(
            f"it holds '{min(unknown)}', which has no place in INTR")
