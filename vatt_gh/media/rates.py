"""The check that sound has the sample rate of what it is used with."""

from vatt_gh.errors import UserError


def check_rate(rate: int, wanted: int, whose: str, where: object, sound: str = "The sound") -> None:
    """Refuses sound of another rate, which a model would mishear without any error.

    Args:
        rate: samples a second of the sound.
        wanted: samples a second that it should have.
        whose: what has that rate, with a verb: 'step 3 was trained with'.
        where: the place of the sound, or of the model.
        sound: name of the sound.

    Raises:
        UserError: the rates differ.
    """
    if rate != wanted:
        raise UserError(
            f"{sound} has {rate} samples a second; {whose} {wanted}.",
            where=where,
            expected="the same rate, because the model has learnt sound at that one",
            todo=f"build the records with --audio_rate={wanted} into another directory",
        )
