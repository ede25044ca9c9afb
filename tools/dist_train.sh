#!/usr/bin/env bash
# Usage: tools/dist_train.sh CONFIG PROCESSES_PER_NODE [flags of train.py]
# Several nodes: set NNODES, NODE_RANK (0, 1, ...), MASTER_ADDR and PORT.
# Where there is no GPU, the processes train on the CPU.
set -e

CONFIG=$1
GPUS=$2
NNODES=${NNODES:-1}
NODE_RANK=${NODE_RANK:-0}
PORT=${PORT:-29500}
MASTER_ADDR=${MASTER_ADDR:-"127.0.0.1"}
TOOLS=$(dirname "$0")
PYTHON=${PYTHON:-python}
# the environment that `make` sets up, where the current one has no MMEngine
HAS_MMENGINE='from importlib.util import find_spec; assert find_spec("mmengine")'
if ! "$PYTHON" -c "$HAS_MMENGINE" 2>/dev/null; then
    PYTHON="$TOOLS/../.venv/bin/python"
fi

# `python -m torch.distributed.run` is torchrun of the chosen python
PYTHONPATH="$TOOLS/..":$PYTHONPATH \
"$PYTHON" -m torch.distributed.run \
    --nnodes="$NNODES" \
    --node_rank="$NODE_RANK" \
    --master_addr="$MASTER_ADDR" \
    --nproc_per_node="$GPUS" \
    --master_port="$PORT" \
    "$TOOLS/train.py" \
    "$CONFIG" \
    --launcher pytorch "${@:3}"
