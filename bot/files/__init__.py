"""Text out of files that people share: every file is hostile, so it is read in a process that can do nothing else."""
