"""mmcv's attention on PyTorch's fused kernels, whose weights can be asked for.

Parameter names are mmcv's. B is the batch, N the number of keys, Q and K of
queries, D the width of the tokens.
"""
import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.transformer import \
    MultiheadAttention as MMCVMultiheadAttention
from torch import Tensor

from . import cpu_training


class MultiheadAttention(MMCVMultiheadAttention):
    """mmcv's ``MultiheadAttention`` on PyTorch's fused attention.

    The forward pass keeps no weights, which lets it take the fused kernels;
    :meth:`attention_weights` computes those of chosen queries on request. A
    missing ``key_pos`` means no position at the keys, where mmcv reuses
    ``query_pos`` if the shapes happen to match.
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
            key: Shape (B, N, D), by default ``query``.
            value: Shape (B, N, D), by default ``key``.
            identity: Shape (B, Q, D), the residual input, by default
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
        visible = self.visible(key_padding_mask, attn_mask)
        q, k, v = self._project(query, key, value)  # (B, heads, Q or N, D/h)
        p = self.attn.dropout if self.training else 0.
        # Not through nn.MultiheadAttention, whose float mask PyTorch 2.1
        # refuses under autocast.
        if self.training and q.device.type == 'cpu':
            out = cpu_training.attention(q, k, v, visible, p)
        else:
            out = F.scaled_dot_product_attention(
                q, k, v, attn_mask=visible, dropout_p=p)
        out = self._merge(out)  # (B, Q, D)
        return identity + self.dropout_layer(self.proj_drop(out))

    @staticmethod
    def visible(key_padding_mask: Tensor | None,
                attn_mask: Tensor | None) -> Tensor | None:
        """What each query sees, bool of shape (1 or B, 1, 1 or Q, N); None if
        it is all. See :meth:`forward`."""
        visible = None
        if key_padding_mask is not None:
            visible = ~key_padding_mask[:, None, None]  # (B, 1, 1, N)
        if attn_mask is not None:
            inside = ~attn_mask[None, None]
            visible = inside if visible is None else visible & inside
            visible = visible | torch.eye(
                *attn_mask.shape, dtype=torch.bool, device=attn_mask.device)
        return visible

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
        value = self.attn.in_proj_bias.chunk(3)[2]  # (D, )
        return self.attn.out_proj(value).expand_as(query_pos)

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

    def forward_weights(self, identity: Tensor, weights: Tensor,
                        value: Tensor) -> Tensor:
        """The forward pass with given weights, without dropout.

        Args:
            identity: Shape (B, K, D), the residual input.
            weights: Shape (B, heads, K or 1, N), see
                :meth:`attention_weights`; 1 serves all queries.
            value: Shape (B, N, D).

        Returns:
            Shape (B, K, D).
        """
        value = self.values(value)  # (B, heads, N, D / heads)
        return identity + self._merge(weights.to(value.dtype) @ value)

    def values(self, value: Tensor) -> Tensor:
        """What the heads take from each place, before it is weighed: shape
        (B, heads, N, D / heads) of ``value`` (B, N, D)."""
        weight = self.attn.in_proj_weight.chunk(3)[2]
        bias = self.attn.in_proj_bias.chunk(3)[2]
        return self._split(F.linear(value, weight, bias))

    def _project(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Project query, key and value, as many as given, and split heads."""
        weights = self.attn.in_proj_weight.chunk(3)  # each (D, D)
        biases = self.attn.in_proj_bias.chunk(3)  # each (D, )
        return tuple(
            self._split(F.linear(x, weight, bias))
            for x, weight, bias in zip(inputs, weights, biases))

    def _split(self, x: Tensor) -> Tensor:
        # (B, L, D) -> (B, heads, L, D / heads)
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def _merge(self, x: Tensor) -> Tensor:
        # (B, heads, L, D / heads) -> (B, L, D)
        return self.attn.out_proj(x.transpose(1, 2).flatten(2))
