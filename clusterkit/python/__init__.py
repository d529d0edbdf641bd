"""The Python interface: `cluster` and `PairClustering` for arrays, and `load` for files of clusterkit."""
