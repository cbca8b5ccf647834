#!/usr/bin/env bash
# Several machines, started by hand: run this on each of them, with NODE 0, 1, 2 ... The first one's address is MASTER.
# NODE=0 MASTER=10.0.0.1 bash training/launch/torchrun.sh
set -euo pipefail
# --------------------------------------------------------------------------------------------------------------------------------------------
RECIPE=${RECIPE:-training/sd15_korean_clip_lora_80gb.yaml}
NODES=${NODES:-2}
GPUS=${GPUS:-8}
PORT=${PORT:-29500}
# --------------------------------------------------------------------------------------------------------------------------------------------
: "${NODE:?the number of this machine, from 0}" "${MASTER:?address of machine 0, reachable from all}"
exec torchrun --nnodes "$NODES" --node_rank "$NODE" --nproc_per_node "$GPUS" --master_addr "$MASTER" --master_port "$PORT" -m kimchi train "$RECIPE"
