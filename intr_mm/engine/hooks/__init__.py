from .atomic_checkpoint_hook import AtomicCheckpointHook
from .attention_visualization_hook import AttentionVisualizationHook
from .checkpoint_check_hook import CheckpointCheckHook
from .dataset_check_hook import DatasetCheckHook
from .epoch_seed_hook import EpochSeedHook
from .fast_inference_hook import FastInferenceHook
from .finite_loss_hook import FiniteLossHook
from .foreign_checkpoint_hook import ForeignCheckpointHook
from .prepare_metrics_hook import PrepareMetricsHook

__all__ = [
    'AtomicCheckpointHook', 'AttentionVisualizationHook',
    'CheckpointCheckHook', 'DatasetCheckHook', 'EpochSeedHook',
    'FastInferenceHook', 'FiniteLossHook', 'ForeignCheckpointHook',
    'PrepareMetricsHook'
]
