from .agreement import Agreement
from .attention_heads import (EvenAttention, HeadSelection, rank_heads,
                              select_heads)
from .base import ModelMetric
from .calibration import (CalibrationError, apply_temperature, calibration,
                          fit_temperature)
from .counterfactual_flips import CounterfactualFlips
from .map_statistics import ClassDistinctness, HeadDiversity
from .ordered_dump_results import OrderedDumpResults
from .part_pointing import PartPointing
from .perturbation import InsertionDeletion, PerturbationMetric, RegionBlanking
from .pointing import PointingGame, PointingMetric
from .prediction_tables import PredictionTables
from .verdict import Verdict, verdict

__all__ = [
    'Agreement', 'CalibrationError', 'ClassDistinctness',
    'CounterfactualFlips', 'EvenAttention', 'HeadDiversity', 'HeadSelection',
    'InsertionDeletion', 'ModelMetric', 'OrderedDumpResults', 'PartPointing',
    'PerturbationMetric', 'PointingGame', 'PointingMetric', 'PredictionTables',
    'RegionBlanking', 'Verdict', 'apply_temperature', 'calibration',
    'fit_temperature', 'rank_heads', 'select_heads', 'verdict'
]
