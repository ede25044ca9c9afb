#!/usr/bin/env python
"""Draw where classes look: every head, any class, any decoder layer."""
import argparse
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path

from intr_mm_flags import (MOST_TOGETHER, TOGETHER, ToolParser,
                           add_figure_flags, check_figure_flags, check_folder,
                           check_not_read, device, number, output_file,
                           output_folder)


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        __doc__,
        'python tools/visualization/explain.py CONFIG CHECKPOINT --img '
        'bird.jpg')
    parser.add_argument('config', help='config file path')
    parser.add_argument('checkpoint', help='checkpoint or exported file')
    parser.add_argument(
        '--img',
        help='image, or folder whose images are drawn; without it, those of '
        "the config's test_dataloader, whose true class is always drawn")
    parser.add_argument(
        '--classes',
        nargs='+',
        default=['pred'],
        metavar='CLASS',
        help='which classes are drawn, each once: names, indices, pred, all '
        'where several can be predicted, and topN (such as top5, the five '
        'best); without --img, naming classes leaves only images of which '
        'one is true, unless gt stands beside them; a report has the '
        'predicted class too (default: pred)')
    parser.add_argument(
        '--layer',
        type=int,
        nargs='+',
        default=[-1],
        help='decoder layers, from 0 on or from -1 back; each is a picture '
        '(default: -1, the last)')
    parser.add_argument(
        '--against',
        metavar='CLASS|rival',
        help='for a head that gives evidence (EvidenceHead): a class that is '
        'also drawn and that every other is compared with, or rival, the best '
        'other class of each (default: the first class drawn is compared '
        'with each); see also --figure comparison')
    add_figure_flags(parser)
    parser.add_argument(
        '--memory',
        action='store_true',
        help='also draw what there is to attend to: how far the encoded image '
        "lies from its mean, and the norm of each head's value vectors")
    parser.add_argument(
        '--out',
        type=output_folder,
        help='folder of the pictures, NAME.png, NAME_layerN.png if there are '
        'several layers, NAME_memory.png, and FIGURE_CLASS.png (default: '
        'work_dirs/CONFIG/explain, or none with --report)')
    parser.add_argument(
        '--report',
        type=output_file('.html', '.htm'),
        metavar='FILE.html',
        help='write an HTML report')
    parser.add_argument(
        '--image-size',
        type=number(32, 4096),
        help='longest side in pixels of the photos in the report '
        '(default: 320, which keeps 1,000 photos below 40 MB)')
    parser.add_argument(
        '--deletion-images',
        type=number(0),
        metavar='NUM',
        help='of how many photos the report tells whether the score falls '
        'where maps point, as part of its sentence on whether they decide; '
        'each costs 18 passes of the model, and 0 leaves it out '
        '(default: 32)')
    parser.add_argument(
        '--strict',
        action='store_true',
        help='stop with exit code 1 at an image of a folder that cannot be '
        'read; without, it is named and counted')
    parser.add_argument(
        '--num',
        type=number(1),
        help='draw NUM images only, evenly spread (default: all; '
        f'{MOST_TOGETHER} in a gallery or of traits)')
    parser.add_argument(
        '--batch-size',
        type=number(1),
        default=1,
        help='images in a batch (default: 1)')
    parser.add_argument(
        '--device',
        type=device,
        help='such as cuda:0 or cpu (default: what there is)')
    parser.add_cfg_options()
    args = parser.parse_args()
    check_figure_flags(parser, args)
    for name, default in (('image_size', 320), ('deletion_images', 32)):
        if getattr(args, name) is None:
            setattr(args, name, default)
        elif args.report is None:
            parser.error(f"--{name.replace('_', '-')} is for the report: name "
                         'its file by --report, or leave the flag out')
    return args


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS

from intr_mm import __version__
from intr_mm.apis import ClassNames, INTRInferencer
from intr_mm.apis.class_names import UnknownClassError
from intr_mm.apis.image_inputs import is_folder, list_images, unique_stems
from intr_mm.checkpoints import check_class_order
from intr_mm.checkpoints.integrity import file_digest
from intr_mm.command_line import (check_data_folders, fill_num_classes,
                                  leaf_datasets, load_config, run_tool, spread)
from intr_mm.command_line.run_tool import Stopped
from intr_mm.engine.hooks.checks import dataset_classes
from intr_mm.evaluation import compare_deletion, rank_heads
from intr_mm.progress import track
from intr_mm.structures import Explanation
from intr_mm.visualization import (FigureStyle, HTMLReport, comparison_figure,
                                   explanation_figure, gallery_figure,
                                   memory_figure, save_figure, traits_figure)
from intr_mm.visualization.figure_files import file_name


def prepare_config(args: argparse.Namespace) -> Config:
    """The config with the options, ready for the data it is used on."""
    needs = ('model', ) if args.img else ('model', 'test_dataloader')
    cfg = load_config(args.config, args.cfg_options, *needs)
    if args.img is None:
        check_data_folders(cfg, 'test_dataloader')
        fill_num_classes(cfg, 'test_dataloader')
    return cfg


def choose_images(
        args: argparse.Namespace, cfg: Config,
        names: ClassNames) -> tuple[Sequence, Callable, list[str], list[int]]:
    """Which images are drawn.

    Returns:
        Handles of the images, what fetches the image of a handle, a name for
        each, and the classes of which one is true for each, if that is why
        they were chosen.
    """
    if args.img is not None:
        images = some(list_images(args.img), args.num)
        return images, lambda image: image, unique_stems(images), []
    dataset = deepcopy(cfg.test_dataloader.dataset)
    for leaf in leaf_datasets(dataset):
        leaf.pipeline = []
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmpretrain')):
        dataset = DATASETS.build(dataset)
    check_class_order(names.names, dataset_classes(dataset), 'test_dataloader')
    places = range(len(dataset))
    classes = names.resolve(args.classes)
    wanted = []
    if 'gt' not in classes:
        wanted = sorted({item for item in classes if isinstance(item, int)})
    if wanted:
        places = [
            i for i in places
            if np.isin(dataset.get_data_info(i).get('gt_label'), wanted).any()
        ]
        words = "' or '".join(names[label] for label in wanted)
        if not places:
            raise UnknownClassError(
                f"No image of the test data set shows '{words}': choose other "
                '--classes.')
        print(f"{len(places)} of {len(dataset)} images show '{words}'.")
    places = some(places, args.num)
    paths = [dataset.get_data_info(i).get('img_path', str(i)) for i in places]
    return places, dataset.get_data_info, unique_stems(paths), wanted


def some(images: Sequence, number: int | None) -> Sequence:
    """Evenly spread ones, as data are often sorted by class."""
    places = spread(len(images), number or len(images))
    return [images[i] for i in places]


def explain(args: argparse.Namespace, inferencer: INTRInferencer,
            images: Sequence, fetch: Callable, names: Sequence[str],
            unreadable: dict[int, str] | None) -> Iterator[Explanation]:
    """Explain the images, of which a batch is in memory at a time.

    Args:
        args: The command line.
        inferencer: The model.
        images: Handles of the images.
        fetch: Gives the image of a handle.
        names: What each explanation is called.
        unreadable: Receives the places of images that cannot be read, and why.
            None raises.
    """
    classes = [*args.classes]
    if args.img is None:
        classes.insert(0, 'gt')
    if args.report is not None or args.figure != 'heads':
        classes.append('pred')  # whose map is that of a photo in a report
    if args.figure == 'comparison' or args.against == 'rival':
        classes.append('top2')
    if args.against not in (None, 'rival'):
        classes.append(args.against)
    for start in range(0, len(images), args.batch_size):
        part = slice(start, start + args.batch_size)
        batch = []
        for image, name in zip(map(fetch, images[part]), names[part]):
            if not isinstance(image, dict):
                image = dict(img_path=image)
            batch.append(dict(image, name=name))
        errors = {}
        yield from inferencer.explain(
            batch,
            classes,
            args.layer,
            args.batch_size,
            memory=args.memory,
            unreadable=None if unreadable is None else errors)
        if errors:
            unreadable.update({start + i: errors[i] for i in errors})


def begin_report(args: argparse.Namespace, inferencer: INTRInferencer,
                 chosen: list[int]) -> HTMLReport:
    """A report that knows what it is made of."""
    name, head = Path(args.checkpoint).name, inferencer.model.head
    if Path(args.checkpoint).is_file():
        name += f', SHA-256 {file_digest(args.checkpoint)[:16]}'
    facts = dict(
        Checkpoint=name,
        Config=args.config,
        Photos=args.img or 'test_dataloader of the config',
        Model=f'{type(head).__name__}, {head.num_classes} classes, '
        f'{head.num_heads} heads, {head.num_layers} decoder layers',
        Temperature=f'{inferencer.temperature or 1:.4g}',
        Command=shlex.join(['explain.py', *sys.argv[1:]]),
        Software=f'intr_mm {__version__}, torch {torch.__version__}')
    return HTMLReport(
        inferencer.classes,
        title=f'{Path(args.config).stem}: where classes look',
        image_size=args.image_size,
        facts=facts,
        chosen=chosen)


def delete_where_maps_point(inferencer: INTRInferencer, images: Sequence,
                            fetch: Callable, number: int) -> tuple[dict, dict]:
    """What deletion says of evenly spread ones of the images."""
    sample = list(map(fetch, some(images, number)))
    return compare_deletion(
        inferencer.model,
        track(inferencer.preprocess(sample), 'Deleting', len(sample)))


def draw(args: argparse.Namespace, explanation: Explanation,
         inferencer: INTRInferencer, out: Path) -> None:
    """Write the pictures of one image."""
    names, against = inferencer.classes, args.against
    if against not in (None, 'rival'):
        against = inferencer.class_names.index(against)
    for place, layer in enumerate(explanation.layers):
        suffix = f'_layer{layer}' if len(args.layer) > 1 else ''
        figures = {}
        if args.figure == 'comparison':
            pair = choose_pair(args, explanation, inferencer.class_names)
            for head in args.heads:
                figures[f'_{head}{suffix}'] = comparison_figure(
                    explanation, *pair, names, head, place, args.style)
        else:
            figures[suffix] = explanation_figure(
                explanation,
                names,
                place,
                args.heads,
                against=against,
                style=args.style)
        if args.memory:
            figures[f'{suffix}_memory'] = memory_figure(
                explanation, names, place, args.style)
        for suffix, figure in figures.items():
            save_figure(figure,
                        out / f'{explanation.name}{suffix}.{args.format}',
                        args.per_panel_files)


def choose_pair(args: argparse.Namespace, explanation: Explanation,
                names: ClassNames) -> tuple[int, int]:
    """The class that is compared, and the one that it is compared with: the
    best other one, if --against names none or the same."""
    best = explanation.scores.argsort()[::-1].tolist()
    one, = args.classes
    one = best[0] if one == 'pred' else names.index(one)
    other = best[best[0] == one]
    if args.against not in (None, 'rival'):
        asked = names.index(args.against)
        other = other if asked == one else asked
    return one, other


def draw_together(args: argparse.Namespace, explanations: list[Explanation],
                  inferencer: INTRInferencer, images: Iterable,
                  out: Path) -> None:
    """Write figures of all images."""
    names = inferencer.classes
    label = inferencer.class_names.index(*args.classes)
    heads = args.heads
    if heads is None:
        number = -(-len(explanations) // args.batch_size)
        batches = inferencer.preprocess(list(images), args.batch_size, {})
        batches = track(batches, 'Ranking heads', number, 'batches')
        order = rank_heads(inferencer.model,
                           (data['inputs'] for data in batches), label)
        heads = order[:4]
    for place, layer in enumerate(explanations[0].layers):
        suffix = f'_layer{layer}' if len(args.layer) > 1 else ''
        if args.figure == 'traits':
            figures = {
                suffix:
                traits_figure(
                    explanations, label, heads, names, place, style=args.style)
            }
        else:
            figures = {
                f'_{head}{suffix}':
                gallery_figure(explanations, label, names, head, place,
                               args.style)
                for head in heads
            }
        for suffix, figure in figures.items():
            name = file_name(args.figure, inferencer.class_names[label])
            save_figure(figure, out / f'{name}{suffix}.{args.format}',
                        args.per_panel_files)


def main(args: argparse.Namespace) -> None:
    args.style = FigureStyle(**args.style)
    cfg = prepare_config(args)
    inferencer = INTRInferencer(
        cfg, args.checkpoint, device=args.device or get_device())
    head = inferencer.model.head
    layers = [head.layer_index(layer) for layer in args.layer]
    if (args.against is not None and args.figure != 'comparison'
            and not head.gives_evidence):
        raise SystemExit("--against compares evidence, which the model's "
                         f'{type(head).__name__} does not give: leave it out, '
                         'or train an EvidenceHead.')
    if (args.figure == 'traits' and args.heads is None
            and set(layers) != {head.num_layers - 1}):
        raise SystemExit('--figure traits finds the heads that matter in the '
                         'last layer only: name those of others by --heads.')
    images, fetch, stems, chosen = choose_images(args, cfg,
                                                 inferencer.class_names)
    out = Path(args.out or f'work_dirs/{Path(args.config).stem}/explain')
    draws = args.out is not None or args.report is None
    if draws:
        if args.img is not None:
            check_not_read(out, images)
        check_folder(str(out))
    report = None
    if args.report is not None:
        report = begin_report(args, inferencer, chosen)

    strict = args.strict or not (args.img is None or is_folder(args.img))
    unreadable = None if strict else {}
    explanations = explain(args, inferencer, images, fetch, stems, unreadable)
    done, together = 0, []
    try:
        for explanation in track(explanations, 'Explaining', len(images)):
            if draws and args.figure in TOGETHER:
                together.append(explanation)
            elif draws:
                draw(args, explanation, inferencer, out)
            if report is not None:
                report.add(explanation)
            done += 1
    except (KeyboardInterrupt, Stopped):
        if report is not None and len(report):
            missing = (unreadable or {}).values()
            words = (f'stopped after {len(report) + len(missing)} of '
                     f'{len(images)} photos')
            report.title += f' ({words})'
            report.write(args.report, missing)
            print(f'The report is {args.report}, {words}.')
        raise
    if unreadable and not done:
        raise SystemExit(f'None of {len(images)} images can be read. The '
                         f'first: {next(iter(unreadable.values()))}')
    if together:
        draw_together(args, together, inferencer, map(fetch, images), out)
    if draws:
        print(f'Pictures of {done} images are in {out}.')
    if report is not None:
        missing = unreadable or {}
        report.write(args.report, missing.values())
        several = inferencer.model.head.multi_label
        # which may be stopped: the report is there
        if (args.deletion_images and not several
                and head.num_layers - 1 in layers):
            readable = [
                image for i, image in enumerate(images) if i not in missing
            ]
            report.deletion = delete_where_maps_point(inferencer, readable,
                                                      fetch,
                                                      args.deletion_images)
            report.write(args.report, missing.values())
        size = Path(args.report).stat().st_size / 1e6
        print(f'The report of {done} images is {args.report} ({size:.1f} MB).')
    if unreadable:
        print(
            f'Of {len(images)} images, {len(unreadable)} cannot be read:',
            *unreadable.values(),
            sep='\n- ',
            file=sys.stderr)


if __name__ == '__main__':
    run_tool(main, ARGS)
