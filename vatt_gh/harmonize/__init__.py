"""Cross-modality gradient harmonization, sample by sample; depends on nothing else here.

library      harmonized_gradients: the front door, for any encoder and losses
arguments    what it takes
compare      compare_engines: holds `ghost` against `vmap` on a model
attribution  what of the losses is one sample's
conflict     inner products and cosines of one sample's gradients
realign      coefficients that project out what conflicts
curriculum   sample weights from the cosine, by a schedule
method       the two together: inner products -> coefficients
engine       what the engines have in common
plain        the ordinary gradient, in microbatches
per_sample   the `vmap` engine: gradients of single samples
at_features  the `features` engine: gradients compared at the features, in no parameter
groups       samples that are decided upon together
ghost        the `ghost` engine: the same numbers from what single layers saw
dataflow     every use of each parameter, in the trace of one sample
known        parameters whose uses all have a rule, and notes on the others
rules        products and lookups: samples' inner products that need no samples' gradients
kernels      the arithmetic of products
views        parameters through reshapes and transposes
recording    of what meets a parameter, and of the results' cotangents
unit         the engines' sums, whatever the size of the losses
trees        names of parameters in any tree
devices      sums and maxima over devices
"""

from vatt_gh.harmonize.at_features import at_features
from vatt_gh.harmonize.attribution import feature_cotangents
from vatt_gh.harmonize.compare import Comparison, compare_engines
from vatt_gh.harmonize.conflict import cosines, inner_products
from vatt_gh.harmonize.curriculum import (
    drop_lowest,
    gamma_schedule,
    sample_weights,
    share_schedule,
)
from vatt_gh.harmonize.engine import Pass
from vatt_gh.harmonize.ghost import ghost
from vatt_gh.harmonize.groups import in_groups
from vatt_gh.harmonize.library import Harmonized, harmonized_gradients
from vatt_gh.harmonize.method import Coefficients, Method
from vatt_gh.harmonize.per_sample import per_sample
from vatt_gh.harmonize.plain import plain
from vatt_gh.harmonize.realign import equal_lengths, realignment
from vatt_gh.harmonize.unit import harmonized_sum

__all__ = [
    "Coefficients",
    "Comparison",
    "Harmonized",
    "Method",
    "Pass",
    "at_features",
    "compare_engines",
    "cosines",
    "drop_lowest",
    "equal_lengths",
    "feature_cotangents",
    "gamma_schedule",
    "ghost",
    "harmonized_gradients",
    "harmonized_sum",
    "in_groups",
    "inner_products",
    "per_sample",
    "plain",
    "realignment",
    "sample_weights",
    "share_schedule",
]
