#!/usr/bin/env bash
# Edit: queue, account, time and size of the node in the #PBS lines.
# Edit: the line that enters the environment in which tsogrid is installed.
# Edit: the configuration, or give it: qsub -v configuration=night.yaml one-node.sh
#PBS -N tsogrid
##PBS -q normal
##PBS -A project
#PBS -l select=1:ncpus=16:mem=32gb
#PBS -l walltime=04:00:00
#PBS -j oe
set -euo pipefail
# source "$HOME/tsogrid/bin/activate"
cd "${PBS_O_WORKDIR:-.}"

# Given again after its walltime, the same command goes on with what is missing.
exec tsogrid run "${configuration:-night.yaml}" --cluster local --workers "${NCPUS:-16}" \
    --set "cluster.scratch=${TMPDIR:-/tmp}"
