#!/usr/bin/env bash
# Edit: queue, account and time in the #PBS lines; this job is the client, one core for the whole run.
# Edit: the line that enters the environment; the jobs of the workers enter it by cluster.env.
# Edit: the size of the workers' jobs, in section cluster of the configuration. `tsogrid submit` writes such a script itself.
#PBS -N tsogrid-client
##PBS -q normal
##PBS -A project
#PBS -l select=1:ncpus=1:mem=4gb
#PBS -l walltime=12:00:00
#PBS -j oe
set -euo pipefail
# source "$HOME/tsogrid/bin/activate"
cd "${PBS_O_WORKDIR:-.}"

exec tsogrid run "${configuration:-night.yaml}" --cluster pbs --log-json
