"""What a user looks at: plots of a result. Each function takes data and axes, and gives the axes back."""
