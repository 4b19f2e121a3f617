#!/usr/bin/env bash
# A SLURM array: each task does slides of one list until none is left; several in one folder never do a slide twice.
#
#   sbatch --array=1-8 workflows/slurm/array.sh list.csv results "nuclei" [options of wsi-parse cohort]
#
# Fill in what your centre asks for, here or on sbatch's command line:
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
