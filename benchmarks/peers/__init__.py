"""What people use instead, doing the same job on the same machine in the same run."""
