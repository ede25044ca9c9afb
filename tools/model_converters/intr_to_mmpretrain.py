"""Convert a checkpoint of the official INTR code.

    python tools/model_converters/intr_to_mmpretrain.py SRC DST

SRC is a checkpoint of github.com/Imageomics/INTR. Its weights are kept, its
optimizer state and arguments are dropped, and no code in it is run.
"""
import argparse

from mmengine.runner import save_checkpoint

from intr_mm.engine import load_weights
from intr_mm.utils import official_to_mmpretrain


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Convert an official INTR checkpoint')
    parser.add_argument('src', help='official checkpoint')
    parser.add_argument('dst', help='checkpoint to write')
    return parser.parse_args()


def convert(src: str) -> dict:
    """Read and rename the weights of an official checkpoint.

    Args:
        src (str): Path of the official checkpoint.

    Returns:
        dict[str, Tensor]: The state dict of an ``INTRClassifier``.
    """
    try:
        checkpoint = load_weights(src)
    except (OSError, RuntimeError) as e:
        raise SystemExit(f'{e} Nothing was written.') from e
    state_dict = checkpoint.get('model')
    if not isinstance(state_dict, dict) or \
            'presence_vector.weight' not in state_dict:
        raise SystemExit(
            f'{src} is not an official INTR checkpoint: it has no '
            "model['presence_vector.weight']; nothing was written.")
    try:
        return official_to_mmpretrain(state_dict)
    except KeyError as e:
        raise SystemExit(f'{src}: {e.args[0]} Nothing was written.') from e


def main() -> None:
    args = parse_args()
    state_dict = convert(args.src)
    # whole or not at all
    save_checkpoint(
        dict(meta=dict(), state_dict=state_dict),
        args.dst,
        backend_args=dict(backend='AtomicLocalBackend'))
    num_classes = state_dict['head.query_embed.weight'].size(0)
    print(f'Wrote {len(state_dict)} tensors, {num_classes} classes, to '
          f'{args.dst}.')


if __name__ == '__main__':
    main()
