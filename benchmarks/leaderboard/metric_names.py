"""Metric names: what columns are called, in the field's words; the full id, which says the protocol, is a footnote."""

import re
from collections.abc import Callable, Sequence

_EXACT = {
    "ball_position_error": "ball error (px)",
    "frechet_motion_distance": "FD of motions",
    "frechet_trajectory_distance": "FD of trajectories",
    "fid": "FID",
    "fvd": "FVD",
    "is": "IS",
    "largest_is": "largest IS of a training",
    "last_ten_is": "mean of its last ten IS",
    "lpips": "LPIPS",
    "lpips_alex": "LPIPS",
    "lpips_vgg": "LPIPS (VGG)",
    "mse": "MSE",
    "mse_minmax_e3": "MSE (min-max, × 10⁻³)",
    "psnr": "PSNR",
    "psnr_frames": "PSNR",
    "psnr_pooled": "PSNR (pooled)",
    "ssim": "SSIM",
    "ssim_vid_ode": "SSIM (Vid-ODE's)",
}
_NETWORKS = {
    "i3d_logits_stylegan_v": "StyleGAN-V's resize",
    "i3d_logits": "",
    "shape_path": "shape paths",
    "motion_histograms": "motion histograms",
    "resnext101_kinetics": "ResNeXt-101",
    "inception2015_pool3": "",
    "c3d_ucf101_logits": "C3D",
}
"""What stands in brackets for a feature network; I3D's logits are what FVD means."""

_MEASURES = {
    "fvd": "FVD",
    "fvd_infinity": "FVD∞",
    "fid": "FID",
    "is": "IS",
    "inception_score": "IS",
    "mmd": "KVD",
    "diversity": "diversity",
    "distance": "FD",
    "temporal": "FD",
    "precision": "precision",
    "recall": "recall",
}
_FEATURES = re.compile(
    r"(?P<measure>[a-z_]+?)(?P<clips>\d*(?:vs(?:\d+|all))?)_(?P<frames>\d+)f_"
    rf"(?P<network>untrained_seed\d+|{'|'.join(_NETWORKS)})"
    r"(?:_at_(?P<size>\d+)px)?(?:_from(?P<start>\d+))?(?:_mean_of_(?P<samples>\d+))?(?P<rest>(?:_[a-z0-9]+)*)"
)


def display_name(metric: str) -> str:
    """The short name of a metric's id: `fvd512_16f_i3d_logits_at_32px` is FVD (32 px), an unknown id its words."""
    for prefix, words in (
        ("no_", "untrained {}"),
        ("data_", "{} of the data"),
        ("shuffled_", "{} of shuffled data"),
        ("standardised_", "{}, standardised"),
    ):
        if metric.startswith(prefix) and len(metric) > len(prefix):
            return words.format(display_name(metric.removeprefix(prefix)))
    if metric in _EXACT:
        return _EXACT[metric]
    if best := re.fullmatch(r"(\w+)_best_of_(\d+)", metric):
        return f"{display_name(best[1])} (best of {best[2]})"
    if deviation := re.fullmatch(r"(\w+)_deviation_of_(\d+)", metric):
        return f"{display_name(deviation[1])}, deviation over {deviation[2]}"
    if metric == "frechet_step_distance":
        return "FD of steps"
    if re.fullmatch(r"motion_course_distance\d*_\d+f", metric):
        return "motion course"
    found = _FEATURES.fullmatch(metric)
    if found is None or found["measure"] not in _MEASURES:
        return metric.replace("_", " ")
    notes = [
        _NETWORKS.get(found["network"], ""),
        f"{found['size']} px" if found["size"] else "",
        f"from frame {found['start']}" if found["start"] else "",
        f"mean of {found['samples']}" if found["samples"] else "",
        found["rest"].strip("_").replace("_", " "),
    ]
    listed = ", ".join(note for note in notes if note)
    return _MEASURES[found["measure"]] + (f" ({listed})" if listed else "")


def column_names(metrics: Sequence[str]) -> dict[str, str]:
    """The short names of a table's metrics, by id; metrics that would share one keep their ids."""
    names = {metric: display_name(metric) for metric in metrics}
    shared = {name for name in names.values() if list(names.values()).count(name) > 1}
    return {metric: metric.replace("_", " ") if name in shared else name for metric, name in names.items()}


def footnote(metrics: Sequence[str], code: Callable[[str], str] = str) -> str:
    """The ids behind short names that leave something out; empty if none does."""
    names = column_names(metrics)
    hidden = [f"{name}: {code(metric)}" for metric, name in names.items() if _plain(name) != _plain(metric)]
    return "; ".join(hidden)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
