"""What the tools do before the work begins."""
from .config_check import check_config
from .config_filling import (add_checkpoint_check, cut_schedule, cut_topk,
                             fill_num_classes)
from .config_reading import load_config, merge_options, read_config
from .data_folders import (check_data_folders, keep_images, leaf_datasets,
                           leave_out_unreadable, spread)
from .run_tool import run_tool

__all__ = [
    'add_checkpoint_check', 'check_config', 'check_data_folders',
    'cut_schedule', 'cut_topk', 'fill_num_classes', 'keep_images',
    'leaf_datasets', 'leave_out_unreadable', 'load_config', 'merge_options',
    'read_config', 'run_tool', 'spread'
]
