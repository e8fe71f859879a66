"""Leaving one machine: sweeps, several processes, Slurm."""
