from torch import Tensor


def class_maps(sample: dict,
               label: int,
               user: str,
               kind: str = 'gt') -> Tensor:
    """Attention maps of one class that a prediction carries.

    Args:
        sample: The sample with its prediction, see :meth:`INTRHead.predict`.
        label: The class.
        user: Who needs the maps, for the error message.
        kind: What class it is, ``'gt'``, the true one, or ``'pred'``, the
            predicted one, for the error message.

    Returns:
        float32 of shape (heads, h, w), each map sums to 1.

    Raises:
        ValueError: If the sample carries no attention, or none of the class.
    """
    for key in ('attention', 'attention_classes'):
        if key not in sample:
            raise ValueError(
                f"{user} finds no '{key}' in a sample: set "
                f"model.test_cfg=dict(attention=dict(classes=('{kind}', ))).")
    place = (sample['attention_classes'] == label).nonzero()
    if len(place) == 0:
        words = dict(gt='true', pred='predicted')[kind]
        raise ValueError(
            f'{user} needs the map of the {words} class {label}, but the '
            f"model gave those of {sample['attention_classes'].tolist()}: add "
            f"'{kind}' to model.test_cfg.attention.classes.")
    return sample['attention'][int(place[0])].float()
