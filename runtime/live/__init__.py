"""Live sessions: microphones and replayed recordings in, events out."""
