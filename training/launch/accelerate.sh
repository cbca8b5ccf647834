#!/usr/bin/env bash
# All GPUs of one machine. Ctrl-C or SIGTERM saves; the same command goes on.
set -euo pipefail
# --------------------------------------------------------------------------------------------------------------------------------------------
RECIPE=${RECIPE:-training/sd15_korean_clip_lora_80gb.yaml}
GPUS=${GPUS:-8}
# --------------------------------------------------------------------------------------------------------------------------------------------
kimchi plan "$RECIPE"
# KIMCHI adds gradients up itself and sets its precision in the recipe: accelerate only starts the processes.
exec accelerate launch --multi_gpu --num_processes "$GPUS" --num_machines 1 --mixed_precision no --dynamo_backend no -m kimchi train "$RECIPE"
