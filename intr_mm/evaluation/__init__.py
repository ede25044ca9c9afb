from .counterfactual_flips import CounterfactualFlips
from .pointing_game import PointingGame

__all__ = ['CounterfactualFlips', 'PointingGame']
