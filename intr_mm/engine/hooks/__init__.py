from .attention_visualization_hook import AttentionVisualizationHook
from .checkpoint import AtomicCheckpointHook, CheckpointCheckHook
from .checks import DatasetCheckHook, FiniteLossHook
from .epoch_seed import EpochSeedHook
from .prepare_metrics import PrepareMetricsHook

__all__ = [
    'AtomicCheckpointHook', 'AttentionVisualizationHook',
    'CheckpointCheckHook', 'DatasetCheckHook', 'EpochSeedHook',
    'FiniteLossHook', 'PrepareMetricsHook'
]
