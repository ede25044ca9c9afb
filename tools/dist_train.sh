#!/usr/bin/env bash
# Usage: tools/dist_train.sh CONFIG PROCESSES_PER_NODE [flags of train.py]
# Several nodes: set NNODES, NODE_RANK (0, 1, ...), MASTER_ADDR and PORT.
# Where there is no GPU, the processes train on the CPU.
set -e

if [ $# -lt 2 ] || ! [[ $2 =~ ^([1-9][0-9]*|auto|cpu|gpu)$ ]]; then
    echo "Usage: tools/dist_train.sh CONFIG PROCESSES_PER_NODE [flags]," \
        "got '$*': give all of them, the processes as a number." >&2
    exit 2
fi
if [ ! -f "$1" ]; then
    echo "dist_train.sh: config '$1' does not exist: check the path." >&2
    exit 1
fi
CONFIG=$1
GPUS=$2
NNODES=${NNODES:-1}
NODE_RANK=${NODE_RANK:-0}
MASTER_ADDR=${MASTER_ADDR:-"127.0.0.1"}
TOOLS=$(dirname "$0")
PYTHON=${PYTHON:-python}
# the environment that `make` sets up, where the current one has no MMEngine
HAS_MMENGINE='from importlib.util import find_spec; assert find_spec("mmengine")'
if ! "$PYTHON" -c "$HAS_MMENGINE" 2>/dev/null; then
    PYTHON="$TOOLS/../.venv/bin/python"
fi
# several nodes have to agree on a port, one takes what is free
if [ "$NNODES" == 1 ]; then
    PORT=${PORT:-$("$PYTHON" -c "import socket; s = socket.socket(); \
s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")}
fi
PORT=${PORT:-29500}

# torchrun of the chosen python
PYTHONPATH="$TOOLS/..":$PYTHONPATH \
LAUNCH_COMMAND=$(printf '%q ' "$0" "$@") \
"$PYTHON" "$TOOLS/launch.py" \
    --nnodes="$NNODES" \
    --node_rank="$NODE_RANK" \
    --master_addr="$MASTER_ADDR" \
    --nproc_per_node="$GPUS" \
    --master_port="$PORT" \
    "$TOOLS/train.py" \
    "$CONFIG" \
    --launcher pytorch "${@:3}"
