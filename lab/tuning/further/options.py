"""The options of Going Further: the one table of them, from which the documents and the checks of settings are made."""

from typing import NamedTuple

from tuning.dials import FreezingDials, FurtherDials, LanguageModelDials, LoraDials, PageDials, TrackingDials


class Option(NamedTuple):
    """One option."""

    title: str
    question: str
    notebook: str  # Its file in ``lab/going_further/``, without the ending; it begins with the option's letter.
    module: str  # What is its own in this room; ``package/module`` where it has several.
    training: str  # What it trains.
    minutes: str  # At default dials on two cores, reading included.
    dials: type[FurtherDials] = FurtherDials  # What its cell of dials holds.


OPTIONS = {
    "A": Option(
        "schedule comparison",
        "Does the schedule of the learning rate matter more than luck?",
        "a_schedules",
        "schedules",
        "2 to 4 runs",
        "15 to 18",
    ),
    "B": Option(
        "freeze the encoder",
        "How much of the model has to learn, and what does the rest cost?",
        "b_freezing",
        "linear_probe",
        "3 runs",
        "15 to 18",
        FreezingDials,
    ),
    "C": Option(
        "error analysis",
        "Where is the model wrong: because of the data, the border between two labels, or the model itself?",
        "c_error_analysis",
        "error_analysis",
        "1 run",
        "15 to 18",
    ),
    "D": Option(
        "experiment tracking",
        "Can somebody else see what was done, without seeing what must stay here?",
        "d_tracking",
        "tracking",
        "1 run",
        "15 to 18",
        TrackingDials,
    ),
    "E": Option(
        "SGD comparison",
        "What does the large model buy that counting words does not?",
        "e_sgd_comparison",
        "error_analysis",
        "seconds",
        "15",
    ),
    "F": Option(
        "learning-rate range test",
        "Does a sweep over rates find a better learning rate, and is the rate the first dial to turn?",
        "f_range_test",
        "lr_finder",
        "3 runs, short trials",
        "15 to 18",
    ),
    "G": Option(
        "ask a language model",
        "Why not just ask a language model?",
        "g_language_model",
        "language_model",
        "none",
        "15",
        LanguageModelDials,
    ),
    "H": Option(
        "LoRA",
        "Can a few new weights beside the model learn as much as the whole model, and at what learning rate?",
        "h_lora",
        "lora",
        "6 runs",
        "15 to 18",
        LoraDials,
    ),
    "I": Option(
        "small enough to ship",
        "What does a model lose when it gets four times smaller?",
        "i_small_enough_to_ship",
        "export.quantisation",
        "none",
        "12 to 15",
    ),
    "J": Option(
        "your model in one file",
        "What can somebody with nothing but a browser do with your model?",
        "j_one_file",
        "export.page",
        "none",
        "10 to 15",
        PageDials,
    ),
}
