from .bench import Bench
from .machine import describe_machine
from .official import OfficialINTR
from .official_code import check_official_code, official_args
from .ours import INFERENCE_MODES, TRAINING_MODES, OurINTR
from .photos import find_photos
from .plot import PLOTTED, plot_classes
from .profiling import format_profiles
from .results import Result
from .table import format_results
from .works import CLASS_COUNTS, WORKS, Options, plan

__all__ = [
    'Bench', 'CLASS_COUNTS', 'INFERENCE_MODES', 'OfficialINTR', 'Options',
    'OurINTR', 'PLOTTED', 'Result', 'TRAINING_MODES', 'WORKS',
    'check_official_code', 'describe_machine', 'find_photos',
    'format_profiles', 'format_results', 'official_args', 'plan',
    'plot_classes'
]
