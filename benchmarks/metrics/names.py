"""Short names of metrics: what `benchmarks evaluate --metrics` takes in place of a class path. Imports no torch."""

from typing import Any

Config = dict[str, Any]

_FEATURES = "benchmarks.metrics.features"
_FVD, _I3D = "fvd.FrechetVideoDistance", "extractor.I3DFeatures"
_MMD, _PR = "mmd.MaximumMeanDiscrepancy", "precision_recall.PrecisionRecall"
_FID, _IS = "fid.FrechetInceptionDistance", "inception.InceptionScore"
_C3D, _UNTRAINED = "c3d.C3DFeatures", "extractor.UntrainedFeatures"


def _metric(path: str, **arguments: Any) -> Config:
    return {"class_path": f"benchmarks.metrics.{path}", "init_args": arguments}


def _through(path: str, network: str, network_arguments: Config | None = None, **arguments: Any) -> Config:
    """A metric that looks through a network."""
    seen = {"class_path": f"{_FEATURES}.{network}", "init_args": network_arguments or {}}
    return _metric(path, network=seen, **arguments)


PAIRED: dict[str, Config] = {
    "mse": _metric("reference.MSE"),
    "psnr_frames": _metric("reference.PSNR"),
    "psnr_pooled": _metric("reference.PooledPSNR"),
    "ssim": _metric("reference.SSIM"),
    "ssim_vid_ode": _metric("reference.VidODESSIM"),
    "lpips_alex": _metric("lpips.LPIPS", backbone="alex"),
    "lpips_vgg": _metric("lpips.LPIPS", backbone="vgg"),
}
"""Metrics of a clip and its target, by the name they have in records."""

SETS: dict[str, Config] = {
    "fvd": _through(_FVD, _I3D),
    "fvd_mixed5c": _through(_FVD, _I3D, {"output": "mixed5c"}),
    "fvd_ddof0": _through(_FVD, _I3D, ddof=0),
    "fvd_stylegan_v": _through(_FVD, _I3D, {"resize": "stylegan-v"}, ddof=0),
    "fvd_infinity": _through("fvd.FVDInfinity", _I3D),
    "video_fid": _through(_FVD, "resnext3d.ResNeXt3DFeatures"),
    "fid": _through(_FID, "inception.InceptionFeatures"),
    "mmd": _through(_MMD, _I3D),
    "mmd_mixed5c": _through(_MMD, _I3D, {"output": "mixed5c"}),
    "precision": _through(_PR, _I3D, which="precision"),
    "recall": _through(_PR, _I3D, which="recall"),
    "is": _through(_IS, _C3D),
    "is_real": _through(_IS, _C3D, of="target"),
    "is_tgan": _through(_IS, _C3D, {"recipe": "tgan"}),
    "is_tgan2": _through(_IS, _C3D, {"recipe": "tgan2"}),
    "is_i3d": _through(_IS, _I3D),
    "is_i3d_real": _through(_IS, _I3D, of="target"),
    "temporal": _metric("temporal.TemporalDistance"),
    "motion_course": _metric("motion_course.MotionCourseDistance"),
    "no_fvd": _through(_FVD, _UNTRAINED),
    "no_fid": _through(_FID, _UNTRAINED),
    "no_precision": _through(_PR, _UNTRAINED, which="precision"),
    "no_is": _through(_IS, _UNTRAINED),
    "no_is_real": _through(_IS, _UNTRAINED, of="target"),
}
"""Metrics of two sets of clips; frames, clips, network and layer are added to the name."""
