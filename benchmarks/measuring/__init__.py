"""What all benchmarks share.

machine         what was measured on
options         the command line
own_process     a function in a process of its own, and that process's peak memory
timing          seconds of calls
turns           several engines in turn, round after round
agreement       how far scores are from a reference
report          tables on the screen, JSON and pictures in a folder
"""
