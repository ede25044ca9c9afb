import torch
import torch.nn as nn
from mmdet.models.layers import SinePositionalEncoding
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor

from .transformer import INTRTransformerEncoder, detr_layer_cfg
from .utils import check_sizes, last_feature_map, xavier_init_matrices


@MODELS.register_module()
class INTREncoder(BaseModule):
    """Neck of INTR: 1x1 projection and DETR encoder.

    Paper: `A Simple Interpretable Transformer for Fine-Grained Image
    Classification and Analysis <https://arxiv.org/abs/2311.04157>`_, Sec. 3.

    Args:
        in_channels: Channels of the backbone's last feature map.
        embed_dims: Width ``D`` of the tokens.
        num_layers: Number of encoder layers; 0 keeps the projection only.
        num_heads: Number of attention heads.
        feedforward_channels: Hidden width of the feed-forward networks.
        dropout: Dropout probability.
        window_radius: How many cells a token sees to each side, rows and
            columns alike. What it encodes then comes from near its own place,
            so that attention to it points there. None means the whole image,
            as in the paper.
        with_cp: Whether to compute the layers again in the backward pass
            instead of keeping what they computed, which saves memory in
            training.
        init_cfg: Initialization config.
    """
    untold_settings = ('num_heads', 'window_radius')

    def __init__(self,
                 in_channels: int,
                 embed_dims: int = 256,
                 num_layers: int = 6,
                 num_heads: int = 8,
                 feedforward_channels: int = 2048,
                 dropout: float = 0.1,
                 window_radius: int | None = None,
                 with_cp: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        check_sizes(
            'INTREncoder',
            in_channels=in_channels,
            embed_dims=embed_dims,
            num_heads=num_heads,
            feedforward_channels=feedforward_channels)
        check_sizes('INTREncoder', 0, num_layers=num_layers)
        if embed_dims % 4:
            raise ValueError(
                f'embed_dims={embed_dims} must be a multiple of 4: sine '
                'positions need a sine and a cosine for each of y and x.')
        if window_radius is not None and window_radius < 0:
            raise ValueError(f'window_radius={window_radius} must be at least '
                             '0, or None for the whole image.')
        self.num_heads = num_heads
        self.window_radius = window_radius
        self.in_channels = in_channels
        self.embed_dims = embed_dims
        self.input_proj = nn.Conv2d(in_channels, embed_dims, kernel_size=1)
        self.encoder = None
        if num_layers > 0:
            self.positional_encoding = SinePositionalEncoding(
                num_feats=embed_dims // 2, normalize=True)
            self.encoder = INTRTransformerEncoder(
                num_layers,
                detr_layer_cfg(embed_dims, num_heads, feedforward_channels,
                               dropout, ('self_attn_cfg', )), with_cp)

    def init_weights(self) -> None:
        """Xavier for the encoder's matrices, as DETR."""
        # Before super(), which may load pretrained weights over it.
        if self.encoder is not None:
            xavier_init_matrices(self.encoder)
        super().init_weights()

    def forward(
        self,
        feats: tuple[Tensor, ...],
        padding_mask: Tensor | None = None,
        mixing: bool = False
    ) -> tuple[Tensor] | tuple[tuple[Tensor], list[Tensor]]:
        """Encode the last feature map.

        Args:
            feats: Feature maps of the backbone; the last one, of shape (B,
                in_channels, H, W), is used.
            padding_mask: Bool of shape (B, H, W), True where a cell is
                padding. None means that none is.
            mixing: Whether to say how much of each token comes from each cell.

        Returns:
            The memory, shape (B, D, H, W). With ``mixing`` also of each layer
            the shares (B, HW, HW), see
            :meth:`INTREncoderLayer.forward_mixing`.
        """
        x = self.input_proj(  # (B, D, H, W)
            last_feature_map(feats, self.in_channels, 'INTREncoder'))
        if self.encoder is None:
            return ((x, ), []) if mixing else (x, )
        pos = self.positional_encoding(padding_mask, input=x).to(x.dtype)
        memory = self.encoder(  # (B, HW, D)
            query=x.flatten(2).transpose(1, 2),
            query_pos=pos.flatten(2).transpose(1, 2),
            key_padding_mask=None
            if padding_mask is None else padding_mask.flatten(1),
            attn_mask=self._outside_window(x),
            mixing=mixing)
        memory, *shares = memory if mixing else (memory, )
        memory = memory.transpose(1, 2).unflatten(2, x.shape[-2:])
        return ((memory, ), *shares) if mixing else (memory, )

    def _outside_window(self, x: Tensor) -> Tensor | None:
        """Which cells do not see which, (HW, HW), on a map (B, D, H, W)."""
        if self.window_radius is None:
            return None
        rows, columns = (
            torch.arange(size, device=x.device) for size in x.shape[-2:])
        far = [(axis[:, None] - axis).abs() > self.window_radius
               for axis in (rows, columns)]  # (H, H) and (W, W)
        return (far[0][:, None, :, None]  # (H, W, H, W) -> (HW, HW)
                | far[1][None, :, None, :]).flatten(2).flatten(0, 1)
