#!/usr/bin/env python
"""Ask on which heads a decision about one image rests.

One after the other, the heads of the last decoder layer are made to look
evenly at the whole image: once those first whose replacement leaves the score
of the class highest, once those whose replacement leaves it lowest. The orders
and the scores are printed, and drawn beside where the heads look.
"""
import argparse
from pathlib import Path

from intr_mm_flags import (PICTURE_FILES, ToolParser, check_not_read, device,
                           output_file)


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        'Find the heads on which a decision rests',
        'python tools/analysis_tools/select_heads.py CONFIG CHECKPOINT --img '
        'bird.jpg')
    parser.add_argument('config', help='config file path')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--img', required=True, help='image file')
    parser.add_argument(
        '--label',
        default='pred',
        help='class, by name or index, whose score is watched; the predicted '
        'one by default')
    parser.add_argument(
        '--out',
        type=output_file(*PICTURE_FILES),
        default='heads.png',
        help='file of the figure, heads.png by default')
    parser.add_argument(
        '--device', type=device, default='cpu', help='where to run')
    parser.add_cfg_options('the model')
    return parser.parse_args()


if __name__ == '__main__':
    ARGS = parse_args()  # before imports that take seconds

import mmcv
import numpy as np
import torch
from mmengine.visualization.utils import img_from_canvas
from mmpretrain.visualization import create_figure

from intr_mm.apis import INTRInferencer
from intr_mm.command_line import load_config, run_tool
from intr_mm.evaluation import select_heads
from intr_mm.visualization import draw_attention

ORDERS = dict(least='least needed first', most='most needed first')


def draw(maps: np.ndarray, curves: dict[str, tuple[list, torch.Tensor]],
         title: str) -> np.ndarray:
    """Maps of the heads above the curves of the class's score.

    Args:
        maps: RGB picture of where the heads look.
        curves: For each order the heads, and the log-odds.
        title: Title of the curves.

    Returns:
        RGB picture, uint8.
    """
    dpi = 180
    width, height = maps.shape[1] / dpi, 2.6
    figure = create_figure(figsize=(width, height), dpi=dpi, margin=True)
    ax = figure.add_axes([.6 / width, .2, 1 - .75 / width, .68])
    for (order, (heads,
                 log_odds)), color, above in zip(curves.items(), ('C0', 'C3'),
                                                 (1, -1)):
        ax.plot(log_odds, marker='o', color=color, label=ORDERS[order])
        for n, head in enumerate(heads, 1):
            ax.annotate(
                f'head {head}', (n, log_odds[n]), (0, 7 * above),
                textcoords='offset points',
                ha='center',
                va='bottom' if above > 0 else 'top',
                fontsize=7,
                color=color)
    ax.set_xticks(range(len(log_odds)))
    ax.margins(x=.08, y=.25)
    ax.set_xlabel('number of heads that look evenly', fontsize=8)
    ax.set_ylabel('log-odds', fontsize=8)
    ax.set_title(title, fontsize=8, parse_math=False)
    ax.tick_params(labelsize=7)
    ax.legend(fontsize=7, frameon=False)
    plot = img_from_canvas(figure.canvas)
    # Rounding of the canvas may cost the plot a pixel.
    plot = mmcv.impad(
        plot[:, :maps.shape[1]],
        shape=(plot.shape[0], maps.shape[1]),
        pad_val=255)
    return np.concatenate((maps, plot))


def main(args: argparse.Namespace) -> None:
    if not Path(args.img).is_file():
        raise SystemExit(f"'{args.img}' is no file: name an image.")
    check_not_read(args.out, [args.img])
    options = {f'model.{k}': v for k, v in args.cfg_options.items()}
    cfg = load_config(args.config, options, 'model')
    inferencer = INTRInferencer(cfg, args.checkpoint, device=args.device)
    model = inferencer.model
    data, = inferencer.preprocess([args.img])
    label = args.label
    if label != 'pred':  # of one class, unlike what else explain() takes
        label = inferencer.class_names.index(label)
    explanation, = inferencer.explain(args.img, label)
    label = explanation.classes[0]
    name = inferencer.class_names[label]

    curves = {}
    for order, words in ORDERS.items():
        steps, log_odds = select_heads(model, data['inputs'],
                                       torch.tensor([label]), order)
        heads = steps[0].tolist()
        log_odds = log_odds[0].cpu()
        curves[order] = heads, log_odds
        print(f'\nClass {name}, {words}\n   score  log-odds  '
              '(each line adds to those above)')
        scores = 100 * log_odds.sigmoid()
        rows = ['as it is', *(f'head {head} looks evenly' for head in heads)]
        for score, odds, row in zip(scores, log_odds, rows):
            print(f'{score:7.2f}%{odds:10.2f}  {row}')

    maps = draw_attention(explanation.image, explanation.maps[0, :1],
                          explanation.geometry, explanation.img_shape, [name],
                          f'{Path(args.img).name}: where {name} looks')
    mmcv.imwrite(
        draw(maps, curves, f'log-odds of {name}')[..., ::-1], str(args.out))
    print(f'\nFigure: {args.out}')


if __name__ == '__main__':
    run_tool(main, ARGS)
