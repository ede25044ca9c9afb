from .agreement import Agreement
from .attention_heads import (EvenAttention, HeadSelection, chosen_share,
                              rank_heads, select_heads)
from .base import ModelMetric, wilson_interval
from .calibration import (CalibrationError, apply_temperature, calibration,
                          fit_temperature)
from .counterfactual_flips import CounterfactualFlips
from .insertion_deletion import InsertionDeletion, compare_deletion
from .map_statistics import ClassDistinctness, HeadDiversity
from .ordered_dump_results import OrderedDumpResults
from .part_pointing import PartPointing
from .perturbation import PerturbationMetric
from .pointing import PointingGame, PointingMetric
from .prediction_tables import PredictionTables, confused_pairs, rate_classes
from .region_blanking import RegionBlanking
from .verdict import Verdict, verdict

__all__ = [
    'Agreement', 'CalibrationError', 'ClassDistinctness',
    'CounterfactualFlips', 'EvenAttention', 'HeadDiversity', 'HeadSelection',
    'InsertionDeletion', 'ModelMetric', 'OrderedDumpResults', 'PartPointing',
    'PerturbationMetric', 'PointingGame', 'PointingMetric', 'PredictionTables',
    'RegionBlanking', 'Verdict', 'apply_temperature', 'calibration',
    'chosen_share', 'compare_deletion', 'confused_pairs', 'fit_temperature',
    'rank_heads', 'rate_classes', 'select_heads', 'verdict', 'wilson_interval'
]
