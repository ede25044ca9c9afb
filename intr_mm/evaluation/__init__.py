from .calibration_error import CalibrationError
from .class_distinctness import ClassDistinctness
from .counterfactual_flips import CounterfactualFlips
from .head_diversity import HeadDiversity
from .head_selection import HeadSelection, select_heads
from .part_pointing import PartPointing
from .pointing_game import PointingGame
from .pointing_metric import PointingMetric
from .temperature import calibration, fit_temperature, temper

__all__ = [
    'CalibrationError', 'ClassDistinctness', 'CounterfactualFlips',
    'HeadDiversity', 'HeadSelection', 'PartPointing', 'PointingGame',
    'PointingMetric', 'calibration', 'fit_temperature', 'select_heads',
    'temper'
]
