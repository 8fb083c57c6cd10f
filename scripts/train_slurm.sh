#!/usr/bin/env bash
# One recipe of the paper on a SLURM cluster, eight GPUs a node:
#   PARTITION=gpu NODES=1 scripts/train_slurm.sh paper/table1_i3 [more options of 'crosskd-lab launch']
set -euo pipefail
cd "$(dirname "$0")/.."
make .venv/.ready
exec .venv/bin/crosskd-lab launch "${1:?which recipe? .venv/bin/crosskd-lab recipes lists them}" \
    --gpus "${GPUS:-8}" --nodes "${NODES:-1}" --slurm "${PARTITION:?which partition?}" "${@:2}"
