"""Cross-modality gradient harmonization, sample by sample; depends on nothing else here.

front        harmonized_gradients: the front door, for any encoder and losses
arguments    what it takes
compare      compare_engines: holds `Ghost` against `Vmap` on a model
attribution  what of the losses is one sample's
conflict     inner products and cosines of one sample's gradients
realign      coefficients that project out what conflicts
curriculum   sample weights from the cosine, by a schedule
method       the two together: inner products -> coefficients
engine       what an engine is, and what engines have in common
engines      the engines by name
compose      the method on an engine, for a batch of several passes
ordinary     the ordinary gradient, in microbatches
vmap         the engine `Vmap`: gradients of single samples
at_features  the engine `AtFeatures`: gradients compared at the features, in no parameter
groups       `InGroups`: an engine on samples that are decided upon together
ghost        the engine `Ghost`: the same numbers from what single layers saw
dataflow     every use of each parameter, in the trace of one sample
known        parameters whose uses all have a rule, and notes on the others
rules        products and lookups: samples' inner products that need no samples' gradients
products     the arithmetic of products
views        parameters through reshapes and transposes
recording    of what meets a parameter, and of the results' cotangents
trees        names of parameters in any tree
devices      sums and maxima over devices
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
from vatt_gh.harmonize.engine import Engine, Pass, Request
from vatt_gh.harmonize.engines import ENGINES
from vatt_gh.harmonize.front import Harmonized, harmonized_gradients
from vatt_gh.harmonize.ghost import Ghost
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
