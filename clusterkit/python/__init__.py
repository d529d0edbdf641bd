"""What Python programs call on their own arrays and on artifacts: `cluster`, `load` and `PairClustering`."""
