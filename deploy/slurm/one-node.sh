#!/usr/bin/env bash
# Edit: partition, account, time and size of the node in the #SBATCH lines.
# Edit: the line that enters the environment in which tsogrid is installed.
# Edit: the configuration, or give it: sbatch one-node.sh night.yaml
#SBATCH --job-name=tsogrid
##SBATCH --partition=normal
##SBATCH --account=project
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --output=tsogrid-%j.log
#SBATCH --signal=B:TERM@120
set -euo pipefail
# source "$HOME/tsogrid/bin/activate"
configuration=${1:-night.yaml}

# Given again after its walltime, the same command goes on with what is missing.
exec tsogrid run "$configuration" --cluster local --workers "${SLURM_CPUS_PER_TASK:-1}" \
    --set "cluster.scratch=${TMPDIR:-/tmp}"
