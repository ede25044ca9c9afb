"""Flags of the tools.

They lie apart from ``intr_mm``, whose import takes seconds, so that tools show
their help and refuse a wrong flag at once. Nothing here imports PyTorch or a
package of OpenMMLab before a flag needs it.
"""
from .figures import (MOST_TOGETHER, TOGETHER, add_figure_flags,
                      check_figure_flags)
from .parser import (CLASS_WORDS, DATA_FILES, PICTURE_FILES, WEIGHT_FILES,
                     OptionsAction, ToolParser, check_file, check_folder,
                     check_not_read, device, ending, is_exported, number,
                     output_file, output_folder)

__all__ = [
    'CLASS_WORDS', 'DATA_FILES', 'MOST_TOGETHER', 'OptionsAction',
    'PICTURE_FILES', 'TOGETHER', 'ToolParser', 'WEIGHT_FILES',
    'add_figure_flags', 'check_figure_flags', 'check_file', 'check_folder',
    'check_not_read', 'device', 'ending', 'is_exported', 'number',
    'output_file', 'output_folder'
]
