"""The command line."""
import argparse
from pathlib import Path

from intr_mm_flags import DATA_FILES, ToolParser, device, number, output_file

CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'intr_cub.py'
# Precision of optimize_for_inference; fp32 is the model of the config.
INFERENCE_MODES: dict[str, str | None] = {
    'fp32': None,
    'fast-fp32': 'float32',
    'fast-bf16': 'bfloat16',
}
# In which OpenVINO runs an exported file.
EXPORTED_MODES = {'exported-fp32': 'float32', 'exported-bf16': 'bfloat16'}
TRAINING_MODES = ('fp32', 'amp')
CASES = ('predict', 'exported', 'explain', 'decoder', 'train', 'train-views',
         'classes', 'train-classes', 'data', 'load')
OF_PHOTOS = ('data', 'load')
# Defaults where the number of classes varies.
CLASS_COUNTS = {
    'decoder': (200, 3000),
    'classes': (200, 1000, 3000, 10000),
    'train-classes': (200, 1000, 3000, 10000),
}
# cases in which only the number of classes varies
PLOTTED = {'classes': 'prediction', 'train-classes': 'training step'}


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        'Measure speed and RAM of INTR, alone or beside the '
        'official code; benchmarks/README.md says how.',
        'python tools/analysis_tools/benchmark.py --out benchmark.json')
    add = parser.add_argument
    add('config', nargs='?', default=str(CONFIG), help='config file path')
    add('--official', help='checkout of github.com/Imageomics/INTR')
    add('--cases',
        '--works',
        nargs='+',
        choices=CASES,
        help='what to measure; all by default, data only with --photos')
    modes = list(dict.fromkeys([*INFERENCE_MODES, *TRAINING_MODES]))
    add('--modes',
        nargs='+',
        choices=[*modes, *EXPORTED_MODES],
        default=modes,
        help='of ours; those of exported files, which need OpenVINO, only if '
        'named')
    add('--no-compile',
        action='store_true',
        help='fast modes without torch.compile, which needs a C++ compiler')
    add('--photos', help='folder of class folders, for data')
    add('--num-photos', type=number(1), default=64, help='how many, for data')
    add('--classes', type=number(1), default=200, help='number of classes')
    add('--class-counts',
        nargs='+',
        type=number(1),
        help='numbers of classes where they vary; by default '
        f'{CLASS_COUNTS["decoder"]} for the decoder alone, '
        f'else {CLASS_COUNTS["classes"]}')
    add('--batch-sizes',
        nargs='+',
        type=number(1),
        default=[1, 8],
        help='to predict and to decode')
    add('--train-batch-size', type=number(1), default=4, help='to train')
    for name, default, text in (
        ('--img-size', (800, 1066), 'height and width to predict on'),
        ('--train-img-size', (640, 640), 'to train on'),
        ('--classes-img-size', (512, 512), 'where classes vary'),
        ('--memory-size', (25, 34), 'cells, for the decoder alone'),
    ):
        add(name, nargs=2, type=number(1), default=default, help=text)
    add('--repeat', type=number(1), default=5, help='runs of each after one')
    add('--profile',
        action='store_true',
        help='print the ten longest operations of each')
    add('--device', type=device, default='cpu', help='device to compute on')
    add('--threads',
        type=number(1),
        help="threads of PyTorch (default: PyTorch's choice); data takes one")
    add('--seed', type=number(0), default=0, help='of weights and inputs')
    add('--out',
        type=output_file(*DATA_FILES),
        help='JSON file for all figures')
    add('--plot',
        type=output_file('.png', '.pdf', '.svg', '.jpg'),
        help=f'picture of the costs in {" and ".join(PLOTTED)}')
    parser.add_cfg_options()
    args = parser.parse_args()
    if args.cases is None:
        args.cases = [c for c in CASES if c not in OF_PHOTOS or args.photos]
    if set(OF_PHOTOS).intersection(args.cases) and not args.photos:
        parser.error(f'{" and ".join(OF_PHOTOS)} need --photos')
    if args.plot and not set(args.cases).intersection(PLOTTED):
        parser.error(f'--plot needs {" or ".join(PLOTTED)} in --cases')
    return args
