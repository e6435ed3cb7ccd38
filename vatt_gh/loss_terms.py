"""The alignment losses that a run can have, and the two modalities each compares."""

import dataclasses
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class LossTerm:
    """An alignment loss of two modalities.

    A head that compares the two gives embeddings ANCHOR_to_OTHER [B, D] and OTHER_to_ANCHOR
    ([B, D], or [B, K, D] for K candidates).

    Attributes:
        anchor: the modality with one embedding per sample.
        other: the modality aligned with it.
        label: short form for names of metrics: 'va' gives loss_va.
        weight: default of config.loss.ANCHOR_OTHER_weight; 0 switches the term off.
    """

    anchor: str
    other: str
    label: str
    weight: float

    @property
    def name(self) -> str:
        """Name, such as 'video_audio'."""
        return f"{self.anchor}_{self.other}"

    @property
    def weight_key(self) -> str:
        """The key of config.loss with the term's weight."""
        return f"{self.name}_weight"

    @property
    def modalities(self) -> tuple[str, str]:
        """The two modalities that it compares."""
        return self.anchor, self.other


# A new term needs one line here, and a head with its embeddings.
LOSS_TERMS: dict[str, LossTerm] = {
    term.name: term
    for term in (
        LossTerm("video", "audio", "va", 1.0),
        LossTerm("video", "text", "vt", 1.0),
        LossTerm("audio", "text", "at", 0.0),
    )
}


def active_terms(weights: Mapping[str, float]) -> list[LossTerm]:
    """Lists the terms with a nonzero weight.

    Args:
        weights: config.loss, or any mapping with the terms' weight keys.

    Returns:
        The terms, in the order of LOSS_TERMS.
    """
    return [term for term in LOSS_TERMS.values() if weights[term.weight_key]]


def places_of(modality: str, terms: Sequence[LossTerm]) -> tuple[int, ...]:
    """Lists the indices of the `terms` that depend on a modality's features."""
    return tuple(n for n, term in enumerate(terms) if modality in term.modalities)
