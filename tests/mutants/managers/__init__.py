"""Two sound key managers, one rich in awaits and one poor: the ground that bugs are planted in."""
