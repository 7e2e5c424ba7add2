"""Measurements that print numbers; run one with python -m benchmarks.NAME."""
