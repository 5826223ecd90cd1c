"""What is decided once for a field: its sources, their planned positions, the world coordinates."""
