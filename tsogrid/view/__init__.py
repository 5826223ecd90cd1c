"""What a user looks at: plots of a result."""
