from collections.abc import Sequence

import numpy as np
from scipy.special import entr

from .attention_figure import draw_attention
from .explanation import Explanation


def draw_explanation(explanation: Explanation,
                     class_names: Sequence[str] | None = None,
                     place: int = 0,
                     heads: str = 'all',
                     name_layer: bool = True) -> np.ndarray:
    """Picture of an explanation: a row of maps for each class.

    Args:
        explanation: What to draw.
        class_names: Names of all classes. None shows indices.
        place: Which of the explanation's layers to draw. 0 means the first of
            them.
        heads: See :func:`choose_heads`.
        name_layer: Whether the title names the layer.

    Returns:
        RGB picture, uint8.
    """
    maps, headings = choose_heads(explanation.maps[place], heads)
    return draw_attention(
        explanation.image,
        maps,
        explanation.geometry,
        explanation.img_shape,
        [_describe(explanation, class_names, i) for i in explanation.classes],
        _title(explanation, class_names, place if name_layer else None),
        headings=headings)


def draw_memory(explanation: Explanation,
                class_names: Sequence[str] | None = None,
                place: int = 0) -> np.ndarray:
    """Picture of :func:`memory_norms`: what there is to attend to.

    Args:
        explanation: With ``memory``.
        class_names: Names of all classes. None shows indices.
        place: Which of the explanation's layers to draw. 0 means the first of
            them.

    Returns:
        RGB picture, uint8.
    """
    norms = explanation.memory[place]
    share = norms / norms.sum((-2, -1), keepdims=True)
    values = [f'value {i + 1}' for i in range(len(norms) - 1)]
    return draw_attention(
        explanation.image,
        share[None],
        explanation.geometry,
        explanation.img_shape, ['norm of what is attended to'],
        _title(explanation, class_names, place),
        headings=[['memory - mean', *values]],
        unit='norm / mean norm',
        top=1.5)


def choose_heads(maps: np.ndarray,
                 heads: str) -> tuple[np.ndarray, list[list[str]]]:
    """Panels of a picture.

    Args:
        maps: Attention of shape (K, heads, h, w).
        heads: ``'all'`` heads and their mean; only the ``'mean'``; or
            ``'best4'``, for each class the four heads with the lowest entropy
            on this image, the most peaked first, and the mean of all.

    Returns:
        Maps (K, P, h, w), and the heading of each.

    Raises:
        ValueError: If ``heads`` is another word.
    """
    if heads not in ('all', 'mean', 'best4'):
        raise ValueError(
            f"heads is 'all', 'mean' or 'best4', but got {heads!r}.")
    num = dict(all=maps.shape[1], mean=0, best4=min(4, maps.shape[1]))[heads]
    order = np.tile(np.arange(maps.shape[1]), (len(maps), 1))
    if heads == 'best4':
        order = entr(maps).sum((-2, -1)).argsort(1, kind='stable')
    order = order[:, :num]
    chosen = np.take_along_axis(maps, order[..., None, None], axis=1)
    headings = [[*(f'head {i + 1}' for i in row), 'mean'] for row in order]
    return np.concatenate((chosen, maps.mean(1, keepdims=True)), 1), headings


def _describe(explanation: Explanation, class_names: Sequence[str] | None,
              index: int) -> str:
    name = str(index) if class_names is None else class_names[index]
    return f'{name.replace("_", " ")} ({explanation.scores[index]:.2f})'


def _title(explanation: Explanation, class_names: Sequence[str] | None,
           place: int | None) -> str:
    best = int(explanation.scores.argmax())
    lines = [f'predicted: {_describe(explanation, class_names, best)}']
    if explanation.gt_label is not None:
        true = _describe(explanation, class_names, explanation.gt_label)
        lines.insert(0, f'true: {true}')
    if place is not None:
        lines[-1] += f'   decoder layer {explanation.layers[place] + 1}'
    return '\n'.join(lines)
