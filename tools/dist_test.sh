#!/usr/bin/env bash
# Usage: tools/dist_test.sh CONFIG CHECKPOINT PROCESSES_PER_NODE [flags]
# Several nodes: set NNODES, NODE_RANK (0, 1, ...), MASTER_ADDR and PORT.
# Where there is no GPU, the processes run on the CPU.
TOOLS=$(dirname "$(readlink -f "$0")")
# that of the environment which `make` sets up, where there is no other
PYTHON=${PYTHON:-$(command -v python || echo "$TOOLS/../.venv/bin/python")}
LAUNCH_COMMAND=$(printf '%q ' "$0" "$@") \
exec "$PYTHON" "$TOOLS/launch.py" test "$@"
