"""Cross-modality gradient harmonization, sample by sample; depends on nothing else here.

conflict     inner products and cosines of one sample's gradients
realign      coefficients that project out what conflicts
curriculum   sample weights from the cosine, by a schedule
method       the two together: inner products -> coefficients
per_sample   the `vmap` engine: gradients of single samples, in microbatches
"""

from vatt_gh.harmonize.conflict import cosines, inner_products
from vatt_gh.harmonize.curriculum import gamma_schedule, sample_weights
from vatt_gh.harmonize.method import Coefficients, Method
from vatt_gh.harmonize.per_sample import harmonized_sum
from vatt_gh.harmonize.realign import realignment

__all__ = [
    "Coefficients",
    "Method",
    "cosines",
    "gamma_schedule",
    "harmonized_sum",
    "inner_products",
    "realignment",
    "sample_weights",
]
