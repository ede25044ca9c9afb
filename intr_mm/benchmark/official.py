from argparse import Namespace
from pathlib import Path

import torch
from mmengine.config import Config
from torch import Tensor, nn

from .augmentation import augment_official
from .case import Case
from .inputs import make_images, make_labels, make_memory
from .official_code import official_args, use_official_code
from .official_training import OfficialTrainingStep
from .ours import Prepared
from .weights import weights_file


class OfficialINTR:
    """The official implementation, github.com/Imageomics/INTR.

    Each method prepares an operation on a case, as the method of
    :class:`OurINTR` of the same name. The recipe of training is that of the
    config, the same for both; the stem and the first stage stay frozen, as
    the official code builds them.

    Args:
        cfg: Full config.
        code: Checkout of the official code.
        weights: Folder of the weights.
        device: Where to compute.
    """

    def __init__(self, cfg: dict, code: Path, weights: Path,
                 device: str) -> None:
        self.cfg = Config(cfg)
        self.weights = weights
        self.device = device
        use_official_code(code)

    def predict(self, case: Case) -> Prepared:
        """Logits (B, C) of a batch."""
        model, images = self._load(case).eval(), self._images(case)
        return torch.no_grad()(lambda: model(images)[0]['query_logits']), None

    def decode(self, case: Case) -> Prepared:
        """Logits (B, C) of a memory, by the decoder alone."""
        model = self._load(case).eval()
        memory = make_memory(case, model.transformer.d_model, self.device)
        memory = memory.flatten(2).permute(2, 0, 1)
        mask = memory.new_zeros(*memory.shape[1::-1], dtype=torch.bool)

        @torch.no_grad()
        def run() -> Tensor:
            queries = model.query_embed.weight.unsqueeze(1).repeat(
                1, case.batch_size, 1)
            hidden = model.transformer.decoder(
                torch.zeros_like(queries),
                memory,
                memory_key_padding_mask=mask,
                query_pos=queries)[0][-1]
            return model.presence_vector(hidden).squeeze(-1).transpose(0, 1)

        return run, None

    def train(self, case: Case) -> Prepared:
        """A training step; the loss () without dropout."""
        step = OfficialTrainingStep(self.cfg.optim_wrapper, self._load(case),
                                    self._images(case),
                                    make_labels(case, self.device))
        return step, step.loss_without_dropout()

    def augment(self, case: Case) -> Prepared:
        """Training augmentation of all photos."""
        return augment_official(case.files), None

    def _load(self, case: Case) -> nn.Module:
        from models import build_model
        args = official_args(self.cfg, case.num_classes, self.device)
        model = build_model(Namespace(**args))[0]
        weights = weights_file(self.weights, case.num_classes, official=True)
        model.load_state_dict(torch.load(weights, weights_only=True))
        return model.to(self.device)

    def _images(self, case: Case):
        """Images with their padding mask, as its data loader gives them."""
        from util.misc import nested_tensor_from_tensor_list
        return nested_tensor_from_tensor_list(
            list(make_images(case, self.device)))
