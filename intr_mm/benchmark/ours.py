from collections.abc import Callable
from pathlib import Path
from typing import Optional

import torch
from mmengine.config import Config
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from intr_mm.command_line import keep_freed_memory, use_huge_pages
from intr_mm.engine import optimize_for_inference
from .augmentation import augment_ours
from .case import Case
from .inputs import make_images, make_labels, make_memory
from .our_training import OurTrainingStep
from .weights import build_model, weights_file

# Precision of optimize_for_inference; fp32 is the model of the config.
INFERENCE_MODES: dict[str, str | None] = {
    'fp32': None,
    'fast-fp32': 'float32',
    'fast-bf16': 'bfloat16',
}
TRAINING_MODES = ('fp32', 'amp')
LOW_PRECISION = ('fast-bf16', 'amp')
# What is called again and again, and what is compared where that gives none.
Prepared = tuple[Callable[[], Optional[Tensor]], Optional[Tensor]]


class OurINTR:
    """This package's implementation.

    Each method prepares an operation on a case. Models to train are built
    for each case, others for each number of classes.

    Args:
        cfg: Full config.
        mode: ``'fp32'``, ``'fast-fp32'``, ``'fast-bf16'`` or, to train only,
            ``'amp'``.
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
        model, images = self._inference_model(case), self._images(case)
        samples = make_samples(case)
        return torch.no_grad()(lambda: model(images, samples)), None

    def decode(self, case: Case) -> Prepared:
        """Logits (B, C) of a memory, by the decoder alone."""
        head = self._inference_model(case).head
        memory = make_memory(case, head.embed_dims, self.device)
        dtype = next(head.parameters()).dtype
        return torch.no_grad()(lambda: head((memory.to(dtype), ))), None

    def scores(self, case: Case) -> Prepared:
        """Predicted scores (B, C)."""
        return self._predictions(case, None), None

    def explain(self, case: Case) -> Prepared:
        """Predicted scores (B, C), with all heads' maps of the best class."""
        return self._predictions(case, dict(classes=('pred', ))), None

    def train(self, case: Case) -> Prepared:
        """A training step; the loss () without dropout."""
        self._num_classes = self._model = None
        keep_freed_memory()  # as tools/train.py
        model = self._load(case).to(self.device)
        step = OurTrainingStep(
            self.cfg, model, self.mode == 'amp', self._images(case),
            make_samples(case, make_labels(case, self.device)))
        return step, step.loss_without_dropout()

    def augment(self, case: Case) -> Prepared:
        """Training augmentation of all photos."""
        return augment_ours(self.cfg, case.files), None

    def _predictions(self, case: Case,
                     attention: dict | None) -> Callable[[], Tensor]:
        model, images = self._inference_model(case), self._images(case)
        samples = make_samples(case)

        @torch.no_grad()
        def run() -> Tensor:
            results = model.predict(images, samples, attention=attention)
            return torch.stack([sample.pred_score for sample in results])

        return run

    def _inference_model(self, case: Case) -> nn.Module:
        if self._num_classes != case.num_classes:
            self._num_classes = self._model = None
            model = self._load(case).to(self.device).eval()
            dtype = INFERENCE_MODES[self.mode]
            if dtype is not None:
                torch.compiler.reset()
                model = optimize_for_inference(model, dtype, self.compile)
            self._num_classes, self._model = case.num_classes, model
        return self._model

    def _load(self, case: Case) -> nn.Module:
        model = build_model(self.cfg, case.num_classes)
        model.load_state_dict(
            torch.load(
                weights_file(self.weights, case.num_classes, official=False),
                weights_only=True))
        return model

    def _images(self, case: Case) -> Tensor:
        return make_images(case, self.device)


def make_samples(case: Case, labels: Tensor | None = None) -> list[DataSample]:
    """Data samples as the data preprocessor gives them.

    Args:
        case: Batch size and shape.
        labels: Labels (B, ).

    Returns:
        One for each image, none of which is padded.
    """
    sizes = dict(img_shape=case.shape, batch_input_shape=case.shape)
    samples = [DataSample(metainfo=sizes) for _ in range(case.batch_size)]
    if labels is not None:
        for sample, label in zip(samples, labels):
            sample.set_gt_label(label)
    return samples
