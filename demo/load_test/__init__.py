"""Load test of a server: clients replay clips in real time; latency, CPU time, memory, and the words are checked."""
