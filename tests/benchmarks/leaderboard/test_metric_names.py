"""Column heads are the field's short names; an id that says more is in a footnote."""

import pytest

from benchmarks.leaderboard.metric_names import column_names, display_name, footnote


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("ssim", "SSIM"),
        ("psnr_frames", "PSNR"),
        ("lpips_alex", "LPIPS"),
        ("ball_position_error", "ball error (px)"),
        ("fvd_16f_i3d_logits", "FVD"),
        ("fvd2048_16f_i3d_logits", "FVD"),
        ("fvd2048vsall_16f_i3d_logits", "FVD"),
        ("fvd2048vs9537_16f_i3d_logits_stylegan_v_ddof0", "FVD (StyleGAN-V's resize, ddof0)"),
        ("fvd512_16f_i3d_logits_at_32px", "FVD (32 px)"),
        ("fvd_infinity512_16f_i3d_logits_at_32px", "FVD∞ (32 px)"),
        ("fvd_14f_i3d_logits_mean_of_100", "FVD (mean of 100)"),
        ("fvd_16f_i3d_logits_from48", "FVD (from frame 48)"),
        ("fvd_16f_resnext101_kinetics", "FVD (ResNeXt-101)"),
        ("is_16f_c3d_ucf101_logits", "IS (C3D)"),
        ("no_fvd_4f_untrained_seed0", "untrained FVD"),
        ("ssim_best_of_10", "SSIM (best of 10)"),
        ("distance_16f_shape_path", "FD (shape paths)"),
        ("motion_course_distance_16f", "motion course"),
        ("shuffled_standardised_frechet_step_distance", "FD of steps, standardised of shuffled data"),
        ("data_roughness", "roughness of the data"),
        ("fvd_16f_my_network", "fvd 16f my network"),
        ("my_own_metric", "my own metric"),
    ],
)
def test_display_name(metric: str, name: str) -> None:
    assert display_name(metric) == name


def test_metrics_that_would_share_a_name_keep_their_ids() -> None:
    names = column_names(["fvd_16f_i3d_logits", "fvd2048_16f_i3d_logits", "ssim"])
    assert names == {
        "fvd_16f_i3d_logits": "fvd 16f i3d logits",
        "fvd2048_16f_i3d_logits": "fvd2048 16f i3d logits",
        "ssim": "SSIM",
    }


def test_the_footnote_names_ids_that_say_more_than_the_head() -> None:
    assert footnote(["ssim", "mse"]) == ""
    assert footnote(["fvd_16f_i3d_logits", "mse"], lambda metric: f"`{metric}`") == "FVD: `fvd_16f_i3d_logits`"
