from .counterfactual_flips import CounterfactualFlips
from .part_pointing import PartPointing
from .pointing_game import PointingGame
from .pointing_metric import PointingMetric

__all__ = [
    'CounterfactualFlips', 'PartPointing', 'PointingGame', 'PointingMetric'
]
