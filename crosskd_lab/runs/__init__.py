"""Many runs: races, sweeps, launches, and what they cost."""
