"""Speech for training: clips, augmentation, batches, pronunciations."""
