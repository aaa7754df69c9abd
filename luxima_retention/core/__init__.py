"""What is decided: values, plan, guards, proof, results, errors, clock. Imports nothing of ours; no I/O."""
