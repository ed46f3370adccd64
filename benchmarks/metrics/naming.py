"""The name that a metric of a configuration will have in records, without building it. Imports no torch."""

from collections.abc import Callable, Mapping
from typing import Any

Arguments = Mapping[str, Any]

FIXED = {
    "MSE": "mse",
    "PSNR": "psnr_frames",
    "PooledPSNR": "psnr_pooled",
    "SSIM": "ssim",
    "VidODESSIM": "ssim_vid_ode",
    "MinMaxError": "mse_minmax_e3",
    "BallPositionError": "ball_position_error",
    "FrechetMotionDistance": "frechet_motion_distance",
    "FrechetTrajectoryDistance": "frechet_trajectory_distance",
}
"""Metrics whose name no argument changes."""

WITH_ARGUMENTS: dict[str, Callable[[Arguments], str | None]] = {
    "LPIPS": lambda given: f"lpips_{given.get('backbone', 'alex')}",
    "FieldError": lambda given: f"rmse_{given['variable']}",
    "BestOfSSIM": lambda given: f"ssim_best_of_{given.get('num_samples', 100)}",
    "Roughness": lambda given: _of_motion("roughness", given),
    "PendulumResidual": lambda given: _of_motion("pendulum_residual", given),
    "FrechetStepDistance": lambda given: (
        "shuffled_" * bool(given.get("shuffled"))
        + "standardised_" * bool(given.get("standardised"))
        + "frechet_step_distance"
    ),
    "OverFreshSamples": lambda given: _over_samples(given),
    "FrechetVideoDistance": lambda given: _of_features("fvd", given, _frechet(given)),
    "FrechetInceptionDistance": lambda given: _of_features("fid", given, _frechet(given)),
    "TemporalDistance": lambda given: _of_features(
        "temporal", {**given, "network": "MotionHistograms"}, _frechet(given)
    ),
    "ShapePathDistance": lambda given: _of_features("distance", {**given, "network": "ShapePath"}, _frechet(given)),
    "FVDInfinity": lambda given: _of_features("fvd_infinity", given),
    "MaximumMeanDiscrepancy": lambda given: _of_features("mmd", given),
    "MotionCourseDistance": lambda given: _of_clips("motion_course_distance", given),
    "Diversity": lambda given: _of_features("diversity", given),
    "PrecisionRecall": lambda given: _of_features(
        given.get("which", "precision"), given, "" if given.get("neighbours", 3) == 3 else f"_k{given['neighbours']}"
    ),
    "InceptionScore": lambda given: _of_features(
        "is" if given.get("of", "prediction") == "prediction" else "is_real",
        given,
        "" if given.get("splits", 10) == 10 else f"_{given['splits']}splits",
    ),
}
_NETWORKS: dict[str, Callable[[Arguments], str]] = {
    "I3DFeatures": lambda given: (
        f"i3d_{given.get('output', 'logits')}"
        + ("" if given.get("resize", "antialiased") == "antialiased" else "_stylegan_v")
    ),
    "SmallI3DFeatures": lambda given: f"i3d_logits_at_{given.get('size', 32)}px",
    "C3DFeatures": lambda given: (
        f"c3d_ucf101_{given.get('output', 'logits')}"
        + ("" if given.get("recipe", "antialiased") == "antialiased" else f"_{given['recipe']}")
    ),
    "InceptionFeatures": lambda given: "inception2015_pool3",
    "ResNeXt3DFeatures": lambda given: "resnext101_kinetics",
    "UntrainedFeatures": lambda given: f"untrained_seed{given.get('seed', 0)}",
    "MotionHistograms": lambda given: "motion_histograms",
    "ShapePath": lambda given: "shape_path",
}


def metric_name(config: Any) -> str | None:
    """The `name` of the metric that `class_path` and `init_args` describe; None for a class that is not ours.

    A test compares it with the name of the built metric, for every class and every shipped configuration.
    """
    kind, given = _parts(config)
    if kind in FIXED:
        return FIXED[kind]
    return WITH_ARGUMENTS[kind](given) if kind in WITH_ARGUMENTS else None


def _parts(config: Any) -> tuple[str, Arguments]:
    """The bare class name and the arguments."""
    if isinstance(config, str):
        config = {"class_path": config}
    return str(config.get("class_path", "")).rpartition(".")[2], config.get("init_args") or {}


def _of_motion(quantity: str, given: Arguments) -> str:
    return f"data_{quantity}" if given.get("of", "sample") == "target" else quantity


def _over_samples(given: Arguments) -> str | None:
    inner = metric_name(given["metric"])
    return None if inner is None else f"{inner}_{given.get('report', 'mean')}_of_{given.get('batches', 5)}"


def _frechet(given: Arguments) -> str:
    samples = given.get("num_samples", 1)
    return ("" if given.get("ddof", 1) else "_ddof0") + (f"_mean_of_{samples}" if samples > 1 else "")


def _of_features(measure: str, given: Arguments, suffix: str = "") -> str | None:
    kind, arguments = _parts(given.get("network") or "I3DFeatures")
    if kind not in _NETWORKS:
        return None
    none = "no_" if kind == "UntrainedFeatures" else ""
    return none + _of_clips(measure, given, f"_{_NETWORKS[kind](arguments)}{suffix}")


def _of_clips(measure: str, given: Arguments, suffix: str = "") -> str:
    clips = "" if given.get("clips") is None else str(given["clips"])
    clips += "" if given.get("reference_clips") is None else f"vs{given['reference_clips']}"
    start = "" if given.get("start") is None else f"_from{given['start']}"
    return f"{measure}{clips}_{given.get('frames', 16)}f{suffix}{start}"
