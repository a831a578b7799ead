#!/usr/bin/env bash
# An archive as a Slurm job array: each job does its share of the files. Submit it with
#
#     sbatch --array=0-15 slurm.sh IN_DIR OUT_DIR [options of facesr batch]
#
# Both folders lie on storage that all nodes see. A job that is lost is submitted again by its number
# (sbatch --array=7 ... --export=ALL,SHARDS=16); what is done is not done again.
#SBATCH --job-name=facesr
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@60
set -euo pipefail
shards=${SHARDS:-${SLURM_ARRAY_TASK_COUNT:?submit with --array=0-N}}
input=$1 output=$2
shift 2
# In the background, so that the signal before the end reaches facesr, which then ends cleanly.
facesr batch "$input" -o "$output" --shard "$SLURM_ARRAY_TASK_ID/$shards" \
    --jobs "$((SLURM_CPUS_PER_TASK / 2))" "$@" &
pid=$!
trap 'kill -TERM $pid' TERM
code=0
wait $pid || code=$?
# The trap ends the first wait; facesr then still has to remove its drafts.
if [ $code -gt 128 ]; then
    code=0
    wait $pid || code=$?
fi
# 3: some files are broken, which another try does not change.
[ $code != 3 ] || exit 0
exit $code
