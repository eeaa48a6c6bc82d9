"""What proposes genotypes."""
