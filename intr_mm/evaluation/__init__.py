from .calibration_error import CalibrationError
from .class_distinctness import ClassDistinctness
from .counterfactual_flips import CounterfactualFlips
from .even_attention import EvenAttention
from .explanation_metric import ExplanationMetric
from .head_diversity import HeadDiversity
from .head_selection import HeadSelection, select_heads
from .insertion_deletion import InsertionDeletion
from .ordered_dump_results import OrderedDumpResults
from .part_pointing import PartPointing
from .pointing_game import PointingGame
from .pointing_metric import PointingMetric
from .region_blanking import RegionBlanking
from .temperature import calibration, fit_temperature, temper

__all__ = [
    'CalibrationError', 'ClassDistinctness', 'CounterfactualFlips',
    'EvenAttention', 'ExplanationMetric', 'HeadDiversity', 'HeadSelection',
    'InsertionDeletion', 'OrderedDumpResults', 'PartPointing', 'PointingGame',
    'PointingMetric', 'RegionBlanking', 'calibration', 'fit_temperature',
    'select_heads', 'temper'
]
