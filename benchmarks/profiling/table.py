"""The printed tables of `benchmarks speed`. Imports no torch."""

from collections.abc import Iterator

from benchmarks.profiling.pipe import Report


def table(report: Report) -> Iterator[str]:
    """The lines of one model, and of the public code compared with it."""
    batch = report["batch"]
    yield (
        f"{report['model']}: {report['parameters']:,} parameters; batches of {batch['batch_size']} clips of "
        f"{batch['frames']} frames, {batch['channels']} x {batch['size']} x {batch['size']}; {report['device']}"
    )
    yield f"{'':26}{'wall min':>12}{'wall median':>12}{'CPU min':>12}{'CPU median':>12}"
    if "train" in report:
        yield _times("training step", report["train"])
    for name, row in report["sample"].items():
        yield _times(name, row) + f"   {row['function_evaluations']} function evaluations"
    if not report["sample"]:
        yield "sampling: not timed (the model has no capability, or --no-sampling)"
    yield f"loading: {report['loading']}"
    if report.get("dynamics"):
        yield from _dynamics(report["dynamics"])
    if "train" in report:
        yield from _training(report["train"])
    if "against" in report:
        theirs = report["against"]
        yield f"against {theirs['model']}: {theirs['parameters']:,} parameters, measured step by step in turn"
        yield _times("its training step", theirs["train"])
        yield from _training(theirs["train"])
        named = ", ".join(f"{name} {value:.3f}" for name, value in theirs["ratios"].items())
        yield f"ours / theirs: {named}"


def relative_to_first(reports: list[Report]) -> Iterator[str]:
    """The cost of each model's step relative to the first one's."""
    yield f"relative to {reports[0]['config']}:"
    for report in reports[1:]:
        named = ", ".join(f"{name} {value:.3f}" for name, value in report.get("by_the_first", {}).items())
        yield f"  {report['config']}: {named or 'no training step'}"


def _dynamics(found: Report) -> Iterator[str]:
    """The temporal generator's share of a step, and its cost by solver and gradient method."""
    yield f"temporal generator: {found['share']:.1%} of the CPU time of a training step"
    for method in ("rk4_backprop", "rk4_adjoint", "dopri5_backprop", "dopri5_adjoint"):
        if method in found:
            row = found[method]
            yield (
                f"  {method:24}{1000 * row['cpu']:9.1f} ms CPU, {row['evaluations']} evaluations, "
                f"{row['bytes'] / 2**20:.2f} MiB saved"
            )


def _training(train: Report) -> Iterator[str]:
    rate, peak = train["flop"] / train["wall"]["min"], train["matmul_flop_per_second"]
    yield f"  FLOP per step            {train['flop'] / 1e9:10.3f} G"
    share = f"{rate / peak:.0%} of the {peak / 1e9:.0f} G of a matrix product in the same run"
    yield f"  FLOP/s                   {rate / 1e9:10.3f} G, {share}"
    yield f"  peak memory              {train['memory'] / 2**30:10.3f} GiB"
    if train["function_evaluations"] is not None:
        yield f"  function evaluations     {train['function_evaluations']:10d}"


def _times(name: str, row: Report) -> str:
    values = [row[clock][which] for clock in ("wall", "cpu") for which in ("min", "median")]
    return f"{name:26}" + "".join(f"{1000 * value:9.1f} ms" for value in values)
