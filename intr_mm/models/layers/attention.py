import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.transformer import \
    MultiheadAttention as MMCVMultiheadAttention
from torch import Tensor

from .dropped_attention import dropped_attention


class MultiheadAttention(MMCVMultiheadAttention):
    """mmcv's ``MultiheadAttention`` on PyTorch's fused attention.

    Parameters and their names are those of mmcv, so DETR checkpoints of mmdet
    fit. It differs in three ways: the forward pass keeps no attention weights,
    which lets it take the fused kernels; a missing ``key_pos`` means no
    position at the keys (mmcv reuses ``query_pos`` when the shapes happen to
    match); and :meth:`attention_weights` computes the weights of chosen
    queries on request. The batch is the first dimension.
    """

    def forward(self,
                query: Tensor,
                key: Tensor | None = None,
                value: Tensor | None = None,
                identity: Tensor | None = None,
                query_pos: Tensor | None = None,
                key_pos: Tensor | None = None,
                key_padding_mask: Tensor | None = None,
                attn_mask: Tensor | None = None) -> Tensor:
        """Attend and add the result to the identity.

        Args:
            query: Shape (B, Q, D).
            key: Shape (B, N, D). None means ``query``.
            value: Shape (B, N, D). None means ``key``.
            identity: Shape (B, Q, D), the residual input. None means
                ``query``.
            query_pos: Added to ``query``.
            key_pos: Added to ``key``.
            key_padding_mask: Bool of shape (B, N), True where a key is
                padding.
            attn_mask: Bool of shape (Q, N), True where a query must not see a
                key. A query attends to the key of its own place at least, so
                that it never has none.

        Returns:
            Shape (B, Q, D).
        """
        key = query if key is None else key
        value = key if value is None else value
        identity = query if identity is None else identity
        query = query if query_pos is None else query + query_pos
        key = key if key_pos is None else key + key_pos
        visible = None
        if key_padding_mask is not None:
            visible = ~key_padding_mask[:, None, None]
        if attn_mask is not None:
            visible = ~attn_mask if visible is None else visible & ~attn_mask
            visible = visible | torch.eye(
                *attn_mask.shape, dtype=torch.bool, device=attn_mask.device)
        out = self._attend(*self._project(query, key, value), visible)
        out = self.attn.out_proj(out.transpose(1, 2).flatten(2))
        return identity + self.dropout_layer(self.proj_drop(out))

    def start(self, query_pos: Tensor) -> Tensor:
        """What queries of zeros get from looking at each other.

        Whatever their weights, they sum to 1 over values that are all the
        bias of the projection: no attention has to be computed. Not for
        training, where dropout removes weights.

        Args:
            query_pos: Shape (B, Q, D), for its shape.

        Returns:
            Shape (B, Q, D), of which all rows are the same.
        """
        value = self.attn.in_proj_bias.chunk(3)[2]
        return self.attn.out_proj(value).expand_as(query_pos)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor,
                visible: Tensor | None) -> Tensor:
        """Attention (B, heads, Q, D / heads) of projected inputs."""
        on_cpu = query.device.type == 'cpu'
        half = query.dtype in (torch.bfloat16, torch.float16)
        if on_cpu and half and self.training:
            # The backward pass of CPUs is up to five times slower in half
            # precision, and rarely faster.
            with torch.autocast('cpu', enabled=False):
                out = self._attend(query.float(), key.float(), value.float(),
                                   visible)
            return out.to(query.dtype)
        p = self.attn.dropout if self.training else 0.
        if on_cpu and 0 < p < 1:
            # CPUs have no fused kernel with dropout.
            return dropped_attention(query, key, value, visible, p)
        # Not through nn.MultiheadAttention, whose float mask PyTorch 2.1
        # refuses under autocast.
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=visible, dropout_p=p)

    def attention_weights(self,
                          query: Tensor,
                          key: Tensor,
                          query_pos: Tensor | None = None,
                          key_padding_mask: Tensor | None = None) -> Tensor:
        """Weights with which queries attend to keys, without dropout.

        Args:
            query: Shape (B, K, D); any subset of the queries, since the
                softmax runs over the keys.
            key: Shape (B, N, D).
            query_pos: Shape (B, K, D), added to ``query``.
            key_padding_mask: Bool of shape (B, N), True where a key is
                padding; such keys get a weight of exactly 0.

        Returns:
            float32 of shape (B, heads, K, N); sums to 1 over N.
        """
        query = query if query_pos is None else query + query_pos
        q, k = self._project(query, key)
        # Half precision under autocast has too few digits for a softmax over
        # thousands of cells.
        scores = (q @ k.transpose(-2, -1)).float() * q.size(-1)**-0.5
        if key_padding_mask is not None:
            scores = scores.masked_fill(key_padding_mask[:, None, None],
                                        float('-inf'))
        return scores.softmax(-1)

    def values(self, value: Tensor) -> Tensor:
        """What the heads take from each place, before it is weighed.

        Args:
            value: Shape (B, N, D).

        Returns:
            Shape (B, heads, N, D / heads).
        """
        weight = self.attn.in_proj_weight.chunk(3)[2]
        bias = self.attn.in_proj_bias.chunk(3)[2]
        value = F.linear(value, weight, bias)
        return value.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def _project(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Project query, key and value, as many as given, and split heads.

        Args:
            *inputs: Each of shape (B, L, D).

        Returns:
            Each of shape (B, heads, L, D / heads).
        """
        weights = self.attn.in_proj_weight.chunk(3)
        biases = self.attn.in_proj_bias.chunk(3)
        return tuple(
            F.linear(x, weight, bias).unflatten(-1, (self.num_heads,
                                                     -1)).transpose(1, 2)
            for x, weight, bias in zip(inputs, weights, biases))
