"""The workloads W1 to W7, each in a file of its own: `run(bench)` adds its rows to the results."""
