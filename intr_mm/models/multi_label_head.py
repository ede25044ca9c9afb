from numbers import Integral, Real

from mmpretrain.models.heads import MultiLabelClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from .head import INTRHead


@MODELS.register_module()
class MultiLabelINTRHead(INTRHead, MultiLabelClsHead):
    """INTR for images that show several classes, or none.

    The same head, but each class is decided for itself: its score is the
    sigmoid of its logit. The class queries need not compete, so that a map
    tells where its class is, also beside others. Queries that look for labels
    are from `Query2Label <https://arxiv.org/abs/2107.10834>`_ and `ML-Decoder
    <https://arxiv.org/abs/2111.12933>`_, which, unlike INTR, score each of
    them by weights of its own.

    Loss and decision are those of :class:`mmpretrain.models.MultiLabelClsHead`
    and its data sets and metrics serve. Predictions say in their metainfo
    ``multi_label`` that ``pred_label`` and ``gt_label`` hold any number of
    classes. A request of maps for ``'pred'`` gives those of all of them, see
    :meth:`BaseExplainingHead.add_maps`. Weights of an :class:`INTRHead` fit.

    Args:
        num_classes: Number of classes.
        loss: Config of the loss of logits and targets (B, C). The default is
            that of `Asymmetric Loss For Multi-Label Classification
            <https://arxiv.org/abs/2009.14119>`_ (ICCV 2021).
        thr: Least score of a class that is predicted. None means 0.5 if there
            is no ``topk``.
        topk: Number of best classes that are predicted, where ``thr`` is None.
        **kwargs: Others of :class:`INTRHead`.
    """

    multi_label = True

    def __init__(self,
                 num_classes: int,
                 loss: dict = dict(type='AsymmetricLoss'),
                 thr: float | None = None,
                 topk: int | None = None,
                 **kwargs) -> None:
        super().__init__(num_classes, loss=loss, **kwargs)
        if thr is None and topk is None:
            thr = .5
        if thr is not None and not (isinstance(thr, Real) and 0 <= thr <= 1):
            raise ValueError('MultiLabelINTRHead needs a thr from 0 to 1, got '
                             f'{thr!r}.')
        if topk is not None and not (isinstance(topk, Integral)
                                     and 1 <= topk <= num_classes):
            raise ValueError(
                'MultiLabelINTRHead needs a whole number topk from 1 to '
                f'num_classes={num_classes}, got {topk!r}.')
        self.thr = thr
        self.topk = topk

    def to_scores(self, logits: Tensor) -> Tensor:
        """See :class:`BaseExplainingHead`."""
        return logits.sigmoid()

    def _get_loss(self, cls_score: Tensor, data_samples: list[DataSample],
                  **kwargs) -> dict[str, Tensor]:
        # Half precision has too few digits for scores near 1.
        return MultiLabelClsHead._get_loss(self, cls_score.float(),
                                           data_samples, **kwargs)

    def _get_predictions(
            self, cls_score: Tensor,
            data_samples: list[DataSample | None] | None) -> list[DataSample]:
        samples = data_samples or [None] * len(cls_score)
        samples = [DataSample() if one is None else one for one in samples]
        for sample in samples:
            sample.set_metainfo(dict(multi_label=True))
        return MultiLabelClsHead._get_predictions(self, cls_score.float(),
                                                  samples)
