"""Cross-modality gradient harmonization per sample; independent of the rest of the package.

front            harmonized_gradients: the main entry point, for any encoder and losses
arguments        checks and converts its arguments
compare          compare_engines: compares `Ghost` with `Vmap` on a model
attribution      assigns the losses to samples
conflict         inner products and cosines of one sample's gradients
realign          coefficients that project out conflicts
curriculum       sample weights from the cosine, by a schedule
method           combines the two: inner products -> coefficients
interface        the engine interface, and code shared by engines
engines          the engines by name
compose          applies the method through an engine, to a batch of several passes
ordinary         the ordinary gradient, in microbatches
vmap             the engine `Vmap`: gradients of single samples
at_features      the engine `AtFeatures`: compares gradients at the features, not the parameters
groups           `InGroups`: an engine for groups of samples that share one decision
ghost            the engine `Ghost`: the same numbers from recorded layer inputs and cotangents
dataflow         finds every use of each parameter in the trace of one sample
known            parameters whose uses all have a rule, and log notes on the others
rules            products and lookups: inner products without per-sample gradients
products         the arithmetic of products
parameter_views  tracks parameters through reshapes and transposes
recording        records the data that meet a parameter, and the results' cotangents
trees            names of parameters in any tree
samples          arrays with one entry a sample, in parts or with factors
devices          sums and maxima over devices
"""

from vatt_gh.harmonize.at_features import AtFeatures
from vatt_gh.harmonize.attribution import feature_cotangents
from vatt_gh.harmonize.compare import Comparison, compare_engines
from vatt_gh.harmonize.compose import Forward, encoded
from vatt_gh.harmonize.conflict import cosines, inner_products
from vatt_gh.harmonize.curriculum import (
    drop_lowest,
    gamma_schedule,
    sample_weights,
    share_schedule,
)
from vatt_gh.harmonize.engines import ENGINES
from vatt_gh.harmonize.front import Harmonized, harmonized_gradients
from vatt_gh.harmonize.ghost import Ghost
from vatt_gh.harmonize.interface import Engine, Pass, Request
from vatt_gh.harmonize.method import Coefficients, Method
from vatt_gh.harmonize.ordinary import ordinary
from vatt_gh.harmonize.realign import equal_lengths, realignment
from vatt_gh.harmonize.vmap import Vmap

__all__ = [
    "ENGINES",
    "AtFeatures",
    "Coefficients",
    "Comparison",
    "Engine",
    "Forward",
    "Ghost",
    "Harmonized",
    "Method",
    "Pass",
    "Request",
    "Vmap",
    "compare_engines",
    "cosines",
    "drop_lowest",
    "encoded",
    "equal_lengths",
    "feature_cotangents",
    "gamma_schedule",
    "harmonized_gradients",
    "inner_products",
    "ordinary",
    "realignment",
    "sample_weights",
    "share_schedule",
]
