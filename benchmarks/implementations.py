"""Ours and the official code, each with what it can be asked to do."""
import random
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.model.efficient_conv_bn_eval import \
    turn_on_efficient_conv_bn_eval
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner.activation_checkpointing import \
    turn_on_activation_checkpointing
from mmpretrain.registry import MODELS, TRANSFORMS
from torch import Tensor, nn

from intr_mm.checkpoints import TO_OFFICIAL, rename
from intr_mm.command_line.machine import (keep_freed_memory, use_amp,
                                          use_huge_pages)
from intr_mm.deploy import ExportedClassifier, export_onnx
from intr_mm.deploy.session import openvino_core
from intr_mm.engine import optimize_for_inference
from .cases import Case
from .flags import INFERENCE_MODES
from .inputs import (load_model, make_images, make_labels, make_memory,
                     make_samples, weights_file)

# What is called again and again, and what is compared where that gives none.
Prepared = tuple[Callable[[], Tensor | None], Tensor | None]

_OFFICIAL_MODULES = ('models', 'util', 'datasets')
_OFFICIAL_FILES = ('models/intr.py', 'datasets/build.py', 'util/misc.py')
_RESNETS = ('ResNet', 'TorchvisionResNet')
_CHECKED_PHOTOS = 4


class TrainingStep:
    """A step of training on the loss () of a batch, which is the same again
    and again."""

    def __init__(self, model: nn.Module, loss: Callable[[], Tensor],
                 update: Callable[[Tensor], None]) -> None:
        self.model = model.train()
        self.loss = loss
        self.update = update

    def __call__(self) -> None:
        self.update(self.loss())

    def loss_without_dropout(self) -> Tensor:
        """The loss () in eval mode, with gradients recorded."""
        self.model.eval()
        loss = self.loss().detach()
        self.model.train()
        return loss


class OurINTR:
    """This package's implementation, in a mode.

    Each method prepares an operation on a case. Models to train are built
    for each case, others for each number of classes.

    Args:
        cfg: Full config.
        mode: One of ``INFERENCE_MODES`` or ``TRAINING_MODES``.
        weights: Folder of the weights.
        device: Where to compute.
        compile: Whether the fast modes are compiled.
    """

    def __init__(self,
                 cfg: dict,
                 mode: str,
                 weights: Path,
                 device: str,
                 compile: bool = True) -> None:
        self.cfg = Config(cfg)
        self.mode = mode
        self.weights = weights
        self.device = device
        self.compile = compile
        self._num_classes = self._model = None
        use_huge_pages()  # as the tools do

    def predict(self, case: Case) -> Prepared:
        """Logits (B, C) of a batch."""
        model, images = self._inference_model(case), make_images(
            case, self.device)
        samples = make_samples(case)
        return torch.no_grad()(lambda: model(images, samples)), None

    def decode(self, case: Case) -> Prepared:
        """Logits (B, C) of a memory, by the decoder alone."""
        head = self._inference_model(case).head
        memory = make_memory(case, head.embed_dims, self.device)
        dtype = next(head.parameters()).dtype
        return torch.no_grad()(lambda: head((memory.to(dtype), ))), None

    def scores(self, case: Case, attention: dict | None = None) -> Prepared:
        """Predicted scores (B, C)."""
        model, images = self._inference_model(case), make_images(
            case, self.device)
        samples = make_samples(case)

        @torch.no_grad()
        def run() -> Tensor:
            results = model.predict(images, samples, attention=attention)
            return torch.stack([sample.pred_score for sample in results])

        return run, None

    def explain(self, case: Case) -> Prepared:
        """Predicted scores (B, C), with the maps of the best class."""
        return self.scores(case, attention=dict(classes=('pred', )))

    def train(self, case: Case) -> Prepared:
        """A step as mmengine's runner makes it; the loss () without dropout.

        The config may ask for ``activation_checkpointing`` and
        ``efficient_conv_bn_eval``, as of the runner.
        """
        self._num_classes = self._model = None
        keep_freed_memory()  # as tools/train.py
        model, images = load_model(self.cfg, case, self.weights), make_images(
            case, self.device)
        model.to(self.device)
        samples = make_samples(case, make_labels(case, self.device))
        recipe = deepcopy(self.cfg.optim_wrapper)
        if self.mode == 'amp':
            use_amp(recipe, images.device.type)
        with self._scope():
            wrapper = build_optim_wrapper(model, recipe)
        for key, turn_on in (('activation_checkpointing',
                              turn_on_activation_checkpointing),
                             ('efficient_conv_bn_eval',
                              turn_on_efficient_conv_bn_eval)):
            if self.cfg.get(key) is not None:
                turn_on(model, self.cfg[key])

        def loss() -> Tensor:
            with wrapper.optim_context(model):
                losses = model(images, samples, mode='loss')
            return model.parse_losses(losses)[0]

        step = TrainingStep(model, loss, wrapper.update_params)
        # the official code, with which it is compared, pads the images
        configured = getattr(model, 'pad_after_backbone', False)
        model.pad_after_backbone = False
        output = step.loss_without_dropout()
        model.pad_after_backbone = configured
        return step, output

    def augment(self, case: Case) -> Prepared:
        """Training augmentation of all photos, with normalisation."""
        pipeline = self._pipeline(self.cfg.train_dataloader)
        with self._scope():
            preprocessor = MODELS.build(
                dict(
                    dict(type='INTRDataPreprocessor'),
                    **self.cfg.model.get('data_preprocessor')
                    or self.cfg.get('data_preprocessor') or {}))

        def augment(file: str) -> Tensor:
            results = pipeline(dict(img_path=file, gt_label=0))
            batch = dict(
                inputs=[results['inputs']],
                data_samples=[results['data_samples']])
            return preprocessor(batch, training=True)['inputs'][0]

        return _over_all(augment, case.files), None

    def load(self, case: Case, backend: str | None = None) -> Prepared:
        """Test pipeline of all photos."""
        pipeline = self._pipeline(self.cfg.test_dataloader, backend)
        return _over_all(
            lambda file: pipeline(dict(img_path=file, gt_label=0))['inputs'],
            case.files), None

    def load_by_pillow(self, case: Case) -> Prepared:
        """Test pipeline of all photos, resized by Pillow."""
        return self.load(case, 'pillow')

    def _pipeline(self, dataloader: dict, backend: str | None = None):
        cv2.setNumThreads(1)
        with self._scope():
            return Compose([
                TRANSFORMS.build(
                    dict(step, backend=backend)
                    if backend and step['type'] == 'PlanarResize' else step)
                for step in dataloader.dataset.pipeline
            ])

    def _inference_model(self, case: Case) -> nn.Module:
        if self._num_classes != case.num_classes:
            self._num_classes = self._model = None
            model = load_model(self.cfg, case, self.weights)
            model.to(self.device).eval()
            dtype = INFERENCE_MODES[self.mode]
            if dtype is not None:
                torch.compiler.reset()
                model = optimize_for_inference(model, dtype, self.compile)
            self._num_classes, self._model = case.num_classes, model
        return self._model

    def _scope(self):
        return DefaultScope.overwrite_default_scope(
            self.cfg.get('default_scope', 'mmpretrain'))


class ExportedINTR:
    """An exported file in OpenVINO, through this package and by hand.

    Args:
        cfg: Full config.
        dtype: What OpenVINO computes in.
        weights: Folder of the weights, where files are written too.
    """

    def __init__(self, cfg: dict, dtype: str, weights: Path) -> None:
        self.cfg = Config(cfg)
        self.dtype = dtype
        self.weights = weights

    def predict(self, case: Case) -> Prepared:
        """Logits (B, C) of a batch, by a file for any batch and size, which
        OpenVINO compiles for this one."""
        file = self.weights / f'{case.num_classes}.onnx'
        if not file.exists():
            export_onnx(self._load(case), str(file))
        model = ExportedClassifier(
            str(file), 'openvino', self.dtype, compile=True)
        images, samples = make_images(case, 'cpu'), make_samples(case)
        return lambda: model(images, samples), None

    def predict_by_hand(self, case: Case) -> Prepared:
        """Logits (B, C) of a batch, by PyTorch's exporter for this batch and
        size alone, and OpenVINO's own calls."""
        images = make_images(case, 'cpu')
        program = torch.onnx.export(
            self._load(case), (images, ), dynamo=True, verbose=False)
        core = openvino_core()
        compiled = core.compile_model(
            core.read_model(program.model_proto.SerializeToString()), 'CPU',
            dict(
                INFERENCE_PRECISION_HINT=dict(float32='f32',
                                              bfloat16='bf16')[self.dtype],
                INFERENCE_NUM_THREADS=case.threads))
        inputs = images.numpy()
        return lambda: torch.from_numpy(compiled(inputs)[0]), None

    def _load(self, case: Case) -> nn.Module:
        return load_model(self.cfg, case, self.weights).eval()


class OfficialINTR:
    """The official implementation, github.com/Imageomics/INTR.

    Each method prepares what the method of :class:`OurINTR` of the same name
    does. The recipe of training is that of the config, the same for both; the
    stem and the first stage stay frozen, as the official code builds them.
    """

    def __init__(self, cfg: dict, code: Path, weights: Path,
                 device: str) -> None:
        self.cfg = Config(cfg)
        self.weights = weights
        self.device = device
        # other packages of these names may have been imported before
        for name in list(sys.modules):
            if name.split('.')[0] in _OFFICIAL_MODULES:
                del sys.modules[name]
        sys.path.insert(0, str(code))
        # its backbone would download the ImageNet weights
        for depth in (18, 34, 50, 101, 152):
            name = f'resnet{depth}'
            build = getattr(torchvision.models, name)
            setattr(
                torchvision.models,
                name,
                lambda pretrained, build=build, **kwargs: build(**kwargs))

    def predict(self, case: Case) -> Prepared:
        """Logits (B, C) of a batch."""
        model, images = self._load(case).eval(), self._images(case)
        return torch.no_grad()(lambda: model(images)[0]['query_logits']), None

    def decode(self, case: Case) -> Prepared:
        """Logits (B, C) of a memory, by the decoder alone."""
        model = self._load(case).eval()
        memory = make_memory(case, model.transformer.d_model, self.device)
        memory = memory.flatten(2).permute(2, 0, 1)  # (hw, B, D)
        mask = memory.new_zeros(*memory.shape[1::-1], dtype=torch.bool)

        @torch.no_grad()
        def run() -> Tensor:
            queries = model.query_embed.weight.unsqueeze(1).repeat(
                1, case.batch_size, 1)  # (C, B, D)
            hidden = model.transformer.decoder(
                torch.zeros_like(queries),
                memory,
                memory_key_padding_mask=mask,
                query_pos=queries)[0][-1]
            return model.presence_vector(hidden).squeeze(-1).transpose(0, 1)

        return run, None

    def train(self, case: Case) -> Prepared:
        """A step in the order of the official code; the loss () without
        dropout."""
        model, images = self._load(case), self._images(case)
        labels = make_labels(case, self.device)
        recipe = self.cfg.optim_wrapper
        options = {k: v for k, v in recipe.optimizer.items() if k != 'type'}
        keys = recipe.get('paramwise_cfg', {}).get('custom_keys', {})
        factor = keys.get('backbone', {}).get('lr_mult', 1.)
        backbone, others = [], []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                group = backbone if name.startswith('backbone.') else others
                group.append(parameter)
        optimizer = torch.optim.AdamW([
            dict(params=others),
            dict(params=backbone, lr=options['lr'] * factor)
        ], **options)

        def loss() -> Tensor:
            return F.cross_entropy(model(images)[0]['query_logits'], labels)

        def update(loss: Tensor) -> None:
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(),
                                     recipe.clip_grad.max_norm)
            optimizer.step()

        step = TrainingStep(model, loss, update)
        return step, step.loss_without_dropout()

    def augment(self, case: Case) -> Prepared:
        """Training augmentation of all photos."""
        from datasets.build import make_transforms
        from torchvision.datasets.folder import default_loader
        transform = make_transforms('train', None)
        return _over_all(lambda file: transform(default_loader(file), {})[0],
                         case.files), None

    def _load(self, case: Case) -> nn.Module:
        from models import build_model as build_official
        args = official_args(self.cfg, case.num_classes, self.device)
        model = build_official(Namespace(**args))[0]
        weights = torch.load(
            weights_file(self.weights, case.num_classes), weights_only=True)
        model.load_state_dict({
            rename(name, TO_OFFICIAL): tensor
            for name, tensor in weights.items()
            # its frozen normalisation layers count no batches
            if not name.endswith('num_batches_tracked')
        })
        return model.to(self.device)

    def _images(self, case: Case):
        """Images with their padding mask, as its data loader gives them."""
        from util.misc import nested_tensor_from_tensor_list
        images = make_images(case, self.device)
        if case.views:
            images = [
                image[:, :height, :width]
                for image, (height, width) in zip(images, case.views)
            ]
        return nested_tensor_from_tensor_list(list(images))


def check_official_code(code: Path) -> None:
    """Raise a ``ValueError`` if a folder is no checkout of the official
    code."""
    for name in _OFFICIAL_FILES:
        if not (code / name).is_file():
            raise ValueError(
                f"--official '{code}' has no {name}: name a checkout of "
                'github.com/Imageomics/INTR.')


def official_args(cfg: Config, num_classes: int, device: str) -> dict:
    """What the official ``build_model`` reads, for the model of a config.

    Raises:
        ValueError: The official code has no such model.
    """
    backbone, neck, head = cfg.model.backbone, cfg.model.neck, cfg.model.head
    if backbone.type not in _RESNETS or head.get('queries_per_class', 1) != 1:
        raise ValueError(
            f"The official code has no such model as '{cfg.filename}': it is "
            'INTR on a ResNet with one query per class; leave --official out.')
    return dict(
        backbone=f'resnet{backbone.depth}',
        dilation=tuple(backbone.get('dilations', ()))[-1:] == (2, ),
        position_embedding='sine',
        lr_backbone=1e-5,  # only whether it is 0 matters
        hidden_dim=head.embed_dims,
        nheads=head.num_heads,
        enc_layers=neck.num_layers,
        dec_layers=head.num_layers,
        dim_feedforward=head.feedforward_channels,
        dropout=head.get('dropout', 0.1),
        pre_norm=False,
        num_queries=num_classes,
        dataset_name='',  # its name of CUB would overrule num_queries
        device=device)


def _over_all(augment: Callable[[str], Tensor],
              files: Sequence[str]) -> Callable[[], None]:
    """Check the first results and make a run over all photos."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    for file in files[:_CHECKED_PHOTOS]:
        image = augment(file)
        if image.dim() != 3 or len(image) != 3 or not image.isfinite().all():
            raise RuntimeError(f"'{file}' became an image of shape "
                               f'{tuple(image.shape)} that is not 3 finite '
                               'channels.')

    def run() -> None:
        for file in files:
            augment(file)

    return run
