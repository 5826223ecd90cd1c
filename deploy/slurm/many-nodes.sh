#!/usr/bin/env bash
# Edit: partition, account and time in the #SBATCH lines; this job is the client, one core for the whole run.
# Edit: the line that enters the environment; the jobs of the workers enter it by cluster.env.
# Edit: the size of the workers' jobs, in section cluster of the configuration. `tsogrid submit` writes such a script itself.
#SBATCH --job-name=tsogrid-client
##SBATCH --partition=normal
##SBATCH --account=project
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=12:00:00
#SBATCH --output=tsogrid-%j.log
#SBATCH --signal=B:TERM@120
set -euo pipefail
# source "$HOME/tsogrid/bin/activate"
configuration=${1:-night.yaml}

exec tsogrid run "$configuration" --cluster slurm --log-json
