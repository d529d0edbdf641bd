#!/bin/sh
# What only a GPU can show, in about ten minutes: sh tests/benchmarks/on_gpu.sh
pytest -n 0 tests/test_gpu.py
pytest -n 0 -s tests/benchmarks/bench_pairs.py -k "pair_head or predict_pairs"
pytest -n 0 -s tests/benchmarks/bench_steps.py -k "step or keeps_up"
pytest -n 0 -s tests/benchmarks/bench_embed.py
