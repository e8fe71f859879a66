"""What a learner hands in: predictions, the experiment log, the worksheet and its export, and the archive of it all."""

from tuning.evidence.predictions import predict, prediction_and_result
from tuning.evidence.run_tables import before_after, labs_compared, validation_and_test, verdict_text
from tuning.evidence.task6 import evidence
from tuning.evidence.worksheet import fill_worksheet, worksheet_table
from tuning.evidence.worksheet_export import export_worksheet

__all__ = [
    "before_after",
    "evidence",
    "export_worksheet",
    "fill_worksheet",
    "labs_compared",
    "predict",
    "prediction_and_result",
    "validation_and_test",
    "verdict_text",
    "worksheet_table",
]
