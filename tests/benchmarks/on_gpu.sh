#!/bin/sh
# What only a GPU can show, in four minutes: sh tests/benchmarks/on_gpu.sh
failed=0
pytest -n 0 tests/test_gpu.py || failed=1
pytest -n 0 -s tests/benchmarks/bench_pairs.py -k "pair_head or predict_pairs" || failed=1
pytest -n 0 -s tests/benchmarks/bench_steps.py -k "(step or keeps_up) and not whole" || failed=1
pytest -n 0 -s tests/benchmarks/bench_embed.py -k 256 || failed=1
exit $failed
