#!/usr/bin/env bash
# Edit: partition, account, time and the number of tasks: one scheduler, one client, and workers.
# Edit: the line that enters the environment in which tsogrid with its extra hpc is installed.
# Edit: the configuration, which names its output.store, or give it: sbatch launch.sh night.yaml
#SBATCH --job-name=tsogrid
##SBATCH --partition=normal
##SBATCH --account=project
#SBATCH --ntasks=66
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=2G
#SBATCH --time=04:00:00
#SBATCH --output=tsogrid-%j.log
set -euo pipefail
# source "$HOME/tsogrid/bin/activate"
configuration=${1:-night.yaml}
here=${TSOGRID_DEPLOY:-${SLURM_SUBMIT_DIR:-.}} # the folder of run.py

# One launch, as MPI programs are launched, where jobs may not submit jobs. Certificates for this run, which all tasks read:
# without them whoever reaches the scheduler's port could run code.
private=$(mktemp -d "${SLURM_SUBMIT_DIR:-$PWD}/.tsogrid-XXXXXX")
trap 'rm -rf "$private"' EXIT
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=dask -keyout "$private/key.pem" -out "$private/cert.pem" 2>/dev/null
export DASK_DISTRIBUTED__COMM__DEFAULT_SCHEME=tls DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=True
export DASK_DISTRIBUTED__COMM__TLS__CA_FILE=$private/cert.pem
for role in CLIENT SCHEDULER WORKER; do
    export "DASK_DISTRIBUTED__COMM__TLS__${role}__CERT=$private/cert.pem" "DASK_DISTRIBUTED__COMM__TLS__${role}__KEY=$private/key.pem"
done
# As in clusters that a run starts: dask outlives a cut of the network, and looks at itself seldom.
export DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP=120s DASK_DISTRIBUTED__WORKER__PROFILE__INTERVAL=1s
export DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL=1s DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL=2s
export TSOGRID_PRIVATE=$private
srun --kill-on-bad-exit=1 python "$here/run.py" "$configuration"
