#!/usr/bin/env bash
# A cluster session of Backend.AI, in two halves.
#
# On your own machine (once; needs the backend.ai client, configured):     bash training/launch/backend_ai.sh start
# In the session, by itself: `main` on the first container, which starts `run` on all of them.
#
# Read in lablup/backend.ai, November 2026: the options of `backend.ai session create`, and the variables BACKENDAI_CLUSTER_* of cluster sessions.
# Not verified on a cluster: whether a batch session's startup command runs on every container or on main1 alone. It is written for main1 alone, which
# reaches the others by ssh: Backend.AI gives containers of one session keys for each other. Nor what your site calls its images and resource slots.
set -euo pipefail
# --------------------------------------------------------------------------------------------------------------------------------------------
RECIPE=${RECIPE:-training/sd15_korean_clip_lora_80gb.yaml}
IMAGE=${IMAGE:-}               # one with CUDA, Python 3.11 and kimchi-diffusion installed
FOLDER=${FOLDER:-kimchi}       # a virtual folder that holds this checkout, runs/ and the delivery; it must lie in Korea for AI-Hub's data
CONTAINERS=${CONTAINERS:-2}
GPUS=${GPUS:-4}                # of each container
PORT=${PORT:-29500}
# --------------------------------------------------------------------------------------------------------------------------------------------

start() {
    : "${IMAGE:?name the image}"
    # shmem: NCCL and decoding threads share memory, and a container has 64 MB of it unless told.
    exec backend.ai session create "$IMAGE" --name kimchi-train --type batch \
        --cluster-mode multi-node --cluster-size "$CONTAINERS" \
        -r cpu=32 -r mem=128g -r "cuda.device=$GPUS" --resource-opts shmem=16g \
        --mount "$FOLDER" --env "RECIPE=$RECIPE" --env "GPUS=$GPUS" --env "KIMCHI_HOME=/home/work/$FOLDER/cache" \
        --startup-command "cd /home/work/$FOLDER && bash training/launch/backend_ai.sh main"
}

main() {
    # Each of the others, and then this one, which waits for them at the rendezvous.
    IFS=, read -ra hosts <<< "${BACKENDAI_CLUSTER_HOSTS:?not within a cluster session of Backend.AI}"
    for host in "${hosts[@]:1}"; do
        ssh "$host" "cd '$PWD' && RECIPE='$RECIPE' GPUS='$GPUS' KIMCHI_HOME='${KIMCHI_HOME:-}' BACKENDAI_CLUSTER_SIZE=${#hosts[@]} \
            BACKENDAI_CLUSTER_HOSTS='$BACKENDAI_CLUSTER_HOSTS' bash training/launch/backend_ai.sh run" &
    done
    run
}

run() {
    # Some versions set WORLD_SIZE and LOCAL_RANK to what counts containers; torchrun sets them for processes.
    unset WORLD_SIZE WORLD_RANK RANK LOCAL_RANK
    exec torchrun --nnodes "${BACKENDAI_CLUSTER_SIZE:-1}" --nproc_per_node "$GPUS" --rdzv_id kimchi --rdzv_backend c10d \
        --rdzv_endpoint "${BACKENDAI_CLUSTER_HOSTS%%,*}:$PORT" -m kimchi train "$RECIPE"
}

case "${1:-}" in
    start | main | run) "$1" ;;
    *) echo "usage: backend_ai.sh start | main | run" >&2; exit 2 ;;
esac
