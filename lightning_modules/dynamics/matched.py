"""Differential equations with as many parameters as the temporal generator that they replace."""

from torch import nn

from datamodules.errors import UserError
from lightning_modules.dynamics.fields import JetEncoder, VectorField
from lightning_modules.dynamics.ode import LatentODE
from lightning_modules.dynamics.sde import LatentSDE


def parameter_matched_ode(
    size: int, parameters: int, order: int = 1, encoder_width: int | None = None, max_step: float = 1 / 15
) -> LatentODE:
    """A LatentODE of vectors with a given number of parameters, to 1 %, encoders included.

    The hidden width of f is chosen for it (latent neural differential equations, Section 4.1: "equalizing parameters of
    each model's original G_t"); biases are left out if no width fits with them.

    Args:
        size: of the state, and of the code.
        parameters: target number, that of the original temporal generator.
        order: of the equation.
        encoder_width: hidden width of the code's encoder; None: no hidden layers (see `JetEncoder`).
        max_step: longest step of RK4, in units of model time.

    Raises:
        UserError: if no width comes within 1 %.
    """
    initial = JetEncoder(size, order, encoder_width)
    field = _field(size, order, parameters - count(initial), parameters)
    return LatentODE(field, initial, max_step=max_step, order=order)


def parameter_matched_sde(
    size: int, parameters: int, encoder_width: int | None = None, step: float = 0.025
) -> LatentSDE:
    """A LatentSDE of vectors with a given number of parameters, to 1 %; drift and diffusion have half each."""
    initial = JetEncoder(size, 1, encoder_width)
    share = (parameters - count(initial)) // 2
    drift, diffusion = (_field(size, 1, share, parameters, fields=2) for _ in range(2))
    return LatentSDE(drift, diffusion, initial, step=step)


def count(module: nn.Module) -> int:
    """How many parameters a module has."""
    return sum(parameter.numel() for parameter in module.parameters())


def _field(size: int, order: int, wanted: int, total: int, fields: int = 1) -> VectorField:
    best: tuple[int, int, bool, bool] | None = None
    for biases in ((True, True), (True, False), (False, True), (False, False)):
        hidden_bias, last_bias = biases
        each, fixed = size * order + hidden_bias + size, size * last_bias
        hidden = max(1, round((wanted - fixed) / each))
        miss = fields * abs(hidden * each + fixed - wanted)
        if best is None or (best[0] > 0.01 * total and miss < best[0]):
            best = (miss, hidden, *biases)
    assert best is not None
    if best[0] > 0.01 * total:
        raise UserError(
            f"No hidden width gives a model of order {order} with {size} values {total} parameters to 1 %; the "
            f"nearest is {best[0]} off. Choose a smaller `encoder_width`, or more parameters."
        )
    return VectorField(size, order, best[1], hidden_bias=best[2], last_bias=best[3])
