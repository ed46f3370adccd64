"""What data modules are made of: the base classes, their splits, dataloaders and random numbers."""
