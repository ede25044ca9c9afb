"""Figures of explanations side by side, as text and as a picture."""
import textwrap

import numpy as np
from mmpretrain.visualization import create_figure

from .figure_files import save_figure

Rows = dict[str, dict[str, dict]]


def make_rows(figures: dict[str, float]) -> tuple[Rows, dict[str, float]]:
    """Sort figures of metrics by what they say and of which explainer.

    Args:
        figures: From a test. Figures of an explainer have the prefix
            ``{column}.{kind}``, and ``{name}/`` before their own name where
            the explainer gives several maps, each of which becomes a column;
            figures that have no map, such as areas, then stand in each.

    Returns:
        The rows ``{kind} {figure}``, each with its columns' ``value``, ``low``
        and ``high``; and the figures of the model as such.
    """
    rows, model, maps = {}, {}, {}
    for key in figures:
        prefix, _, figure = key.partition('/')
        column = prefix.partition('.')[0]
        if '/' in figure:
            maps.setdefault(column, {})[figure.rpartition('/')[0]] = None
    for key, value in figures.items():
        prefix, _, figure = key.partition('/')
        column, _, kind = prefix.partition('.')
        if not kind:
            model[key] = float(value)
            continue
        name, _, figure = figure.rpartition('/')
        columns = [name] if name else maps.get(column, [column])
        part = 'value'
        for bound in ('low', 'high'):
            if figure.endswith(f'_{bound}'):
                figure, part = figure[:-len(bound) - 1], bound
        row = rows.setdefault(f'{kind} {figure}', {})
        for column in columns:
            row.setdefault(column, {})[part] = float(value)
    return rows, model


def format_table(rows: Rows, model: dict[str, float]) -> str:
    """Write the table as text.

    Args:
        rows: From :func:`make_rows`.
        model: From :func:`make_rows`.

    Returns:
        A line for each figure, values with their intervals in brackets.
    """
    columns = list(dict.fromkeys(c for row in rows.values() for c in row))

    def cell(entry):
        if entry is None:
            return ''
        text = f'{entry["value"]:.1f}'
        if 'low' in entry:
            text += f' [{entry["low"]:.1f}, {entry["high"]:.1f}]'
        return text

    table = [['', *columns]]
    table += [[name, *(cell(row.get(c)) for c in columns)]
              for name, row in rows.items()]
    widths = [max(map(len, column)) for column in zip(*table)]
    lines = [
        '  '.join([line[0].ljust(widths[0])] +
                  [text.rjust(w) for text, w in zip(line[1:], widths[1:])])
        for line in table
    ]
    lines += ['', *(f'{name}  {value:.2f}' for name, value in model.items())]
    return '\n'.join(lines)


def draw_table(rows: Rows, path: str, note: str = '') -> None:
    """Draw each figure that has an interval as a panel of bars.

    Args:
        rows: From :func:`make_rows`.
        path: Picture file to write.
        note: What to write under the panels.

    Raises:
        ValueError: If no figure has an interval.
    """
    rows = {
        name: row
        for name, row in rows.items()
        if any('low' in entry for entry in row.values())
    }
    if not rows:
        raise ValueError('The table holds no figure with an interval to draw: '
                         'give the metrics interval=True.')
    across = min(4, len(rows))
    down = -(-len(rows) // across)
    figure = create_figure(figsize=(3 * across, 2.4 * down), dpi=150)
    for i, (name, row) in enumerate(rows.items()):
        ax = figure.add_subplot(down, across, i + 1)
        values = np.array([entry['value'] for entry in row.values()])
        bounds = np.array(
            [[entry.get(bound, np.nan) for entry in row.values()]
             for bound in ('low', 'high')])
        # Rounding may put a mean of equal values a hair outside.
        errors = np.maximum(np.abs(bounds - values), 0)
        ax.bar(range(len(row)), values, yerr=errors, capsize=3, color='C0')
        ax.set_xticks(range(len(row)), list(row), rotation=30, ha='right')
        ax.tick_params(labelsize=8)
        ax.set_ylabel('%', fontsize=8)
        title = name.replace('_', ' ')
        if name.endswith(' deletion'):
            title += ' (lower is better)'
        ax.set_title(title, fontsize=9)
        ax.spines[['top', 'right']].set_visible(False)
    figure.supxlabel(textwrap.fill(note, 40 * across), fontsize=9)
    figure.tight_layout()
    save_figure(figure, path)
