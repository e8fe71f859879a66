"""A real run and its model in all forms, once for all tests of the export."""

import pytest

from tuning.dials import Dials


@pytest.fixture(scope="session")
def measured_run(few, tmp_path_factory):
    """A run on few sentences, the folder of runs, and the run's model in all forms."""
    from tuning.encoder import finding
    from tuning.further.export import onnx_export, quantisation
    from tuning.training import fit

    if not onnx_export.is_here():
        pytest.skip("ONNX is optional: requirements/further.txt")
    folder = tmp_path_factory.mktemp("shipped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKSHOP_RUNS", str(folder))
        dials = Dials(MODEL="embedded", DATA=str(few), EPOCHS=2, LR_PRESET=3e-4, PRECISION="fp32")
        run = fit.fit(dials, "01", encoder=finding.find("embedded"))
        return folder, run, quantisation.measure(run)


@pytest.fixture
def run(measured_run, monkeypatch):
    """That run, in its folder."""
    monkeypatch.setenv("WORKSHOP_RUNS", str(measured_run[0]))
    return measured_run[1]
