"""The composition: what is put together here and nowhere else."""
