"""The command `spikebridge`: train, simulate and validate, each alone or all in one."""
