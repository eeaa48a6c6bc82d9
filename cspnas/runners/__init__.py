"""What runs a driver's work."""
