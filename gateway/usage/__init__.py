"""What was done for tenants, by day: counted once for each job, and kept longer than the jobs."""
