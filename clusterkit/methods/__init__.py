"""Ways to turn pairs or features into clusters."""

from clusterkit.config import Method
from clusterkit.methods.agglomerative import agglomerative
from clusterkit.methods.ccn import ccn
from clusterkit.methods.common.problem import MethodFunction
from clusterkit.methods.csp import csp
from clusterkit.methods.hdbscan import hdbscan
from clusterkit.methods.itml import itml
from clusterkit.methods.kmeans import kmeans
from clusterkit.methods.lpnmf import lpnmf
from clusterkit.methods.lsc import lsc
from clusterkit.methods.mpckmeans import mpckmeans
from clusterkit.methods.skkm import skkm
from clusterkit.methods.sklr import sklr
from clusterkit.methods.skms import skms
from clusterkit.methods.spectral import spectral

METHODS: dict[Method, MethodFunction] = {
    Method.CCN: ccn,
    Method.KMEANS: kmeans,
    Method.SPECTRAL: spectral,
    Method.LPNMF: lpnmf,
    Method.LSC: lsc,
    Method.ITML: itml,
    Method.SKMS: skms,
    Method.SKKM: skkm,
    Method.SKLR: sklr,
    Method.CSP: csp,
    Method.MPCKMEANS: mpckmeans,
    Method.AGGLOMERATIVE: agglomerative,
    Method.HDBSCAN: hdbscan,
}
