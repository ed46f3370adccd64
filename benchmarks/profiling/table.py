"""What `benchmarks speed` prints of its measurements. Imports no torch."""

from collections.abc import Iterator

from benchmarks.profiling.pipe import Report


def table(report: Report) -> Iterator[str]:
    """The lines about one model, and about the public code beside it."""
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
        yield "sampling: not timed (the model has no verb, or --no-sampling)"
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
        yield f"ours by theirs: {named}"


def by_the_first(reports: list[Report]) -> Iterator[str]:
    """What each model's step costs by the first one's."""
    yield f"by {reports[0]['config']}:"
    for report in reports[1:]:
        named = ", ".join(f"{name} {value:.3f}" for name, value in report.get("by_the_first", {}).items())
        yield f"  {report['config']}: {named or 'has nothing to train'}"


def _dynamics(found: Report) -> Iterator[str]:
    """The temporal generator's share, and what its solver and gradient cost by way."""
    yield f"temporal generator: {found['share']:.1%} of the CPU time of a training step"
    for way in ("rk4_backprop", "rk4_adjoint", "dopri5_backprop", "dopri5_adjoint"):
        if way in found:
            row = found[way]
            yield (
                f"  {way:24}{1000 * row['cpu']:9.1f} ms CPU, {row['evaluations']} evaluations, "
                f"{row['bytes'] / 2**20:.2f} MiB kept"
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
