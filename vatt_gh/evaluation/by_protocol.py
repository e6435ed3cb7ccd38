"""The base of the evaluators that the protocols of data sets name."""

from vatt_gh.evaluation.held_out import HeldOut
from vatt_gh.evaluation.protocols import is_scored_by


class ByProtocol:
    """Wants the data sets whose protocol names this evaluator; see `evaluators.Evaluator`."""

    name: str

    def wants(self, held_out: HeldOut) -> bool:
        """Tells whether the data set's protocol is this one."""
        return is_scored_by(held_out.builder, self.name)
