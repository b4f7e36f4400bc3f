"""What this device is, and what its sensors and energy counters say."""
