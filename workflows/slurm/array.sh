#!/usr/bin/env bash
# A SLURM array: each task processes slides of one list until none is left; no slide is processed twice.
#
#   sbatch --array=1-8 workflows/slurm/array.sh list.csv results "nuclei" [options of wsi-parse cohort]
#
# Set what your cluster requires, here or on the command line of sbatch:
#SBATCH --job-name=wsi-parse
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=04:00:00
##SBATCH --gres=gpu:1
set -euo pipefail
if (($# < 3)); then
    echo "usage: sbatch --array=1-8 $0 LIST OUT PROMPT [OPTIONS]" >&2
    exit 2
fi
slides=$1 out=$2 prompt=$3
shift 3
exec wsi-parse cohort "$slides" -o "$out" -p "$prompt" --set compute.threads="${SLURM_CPUS_PER_TASK:-1}" "$@"
