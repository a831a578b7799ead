# The scripts of cluster/, on stand-ins for what they call.
# shellcheck shell=bash

# A Slurm job that is ended waits until facesr has removed its drafts, and ends with its exit code.
case_slurm_waits_for_facesr_when_ended() {
    mkdir bin
    cat >bin/facesr <<'SH'
#!/bin/sh
trap 'sleep 0.3; touch cleaned; exit 7' TERM
touch started
while :; do sleep 0.05; done
SH
    chmod +x bin/facesr
    PATH=$PWD/bin:$PATH SLURM_ARRAY_TASK_ID=0 SLURM_CPUS_PER_TASK=4 SHARDS=1 "$root/cluster/slurm.sh" in out &
    until [ -e started ]; do sleep 0.05; done
    kill -TERM $!
    code=0
    wait $! || code=$?
    [ -e cleaned ] || flunk "it ended before facesr"
    is "$code" 7 "exit code"
}
