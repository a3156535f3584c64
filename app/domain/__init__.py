"""What is true: values and rules, of the standard library alone, under everything else."""
