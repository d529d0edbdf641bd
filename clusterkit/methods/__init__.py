"""Ways to turn pairs or features into clusters."""

from clusterkit.config import Method
from clusterkit.methods.ccn import ccn
from clusterkit.methods.kmeans import kmeans
from clusterkit.methods.problem import MethodFunction
from clusterkit.methods.spectral import spectral

METHODS: dict[Method, MethodFunction] = {
    Method.CCN: ccn,
    Method.KMEANS: kmeans,
    Method.SPECTRAL: spectral,
}
