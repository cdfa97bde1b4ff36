"""The table and the curve of a run."""

from simulated import simulated


def test_the_table_and_the_curve_show_every_round(dataset, tmp_path):
    run = simulated(dataset, tmp_path / "run")
    table = (tmp_path / "run" / "table.md").read_text()
    for row in run.rounds:
        assert f"| {row.round} | {row.pixels} | {row.fraction:.2%} |" in table
        assert f"{100 * row.miou:.1f}" in table
    assert (tmp_path / "run" / "curve.png").stat().st_size > 5_000
